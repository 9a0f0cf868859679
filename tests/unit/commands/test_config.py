"""`epp config` as a shell sees it."""

import io
import json
from pathlib import Path

import pytest

from epp.cli import main

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("config.yaml")


def test_check_says_what_is_odd_and_is_content(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(HEAD + "plugins:\n- type: queue-scorer\n  parameters: {smooth: 1}\n")
    assert main(["config", "check", "config.yaml"]) == 0
    assert capsys.readouterr().out == (
        "warning: config.yaml:5: plugins[0].parameters.smooth: is not known here and is passed over\n"
        "config.yaml: can be used\n"
    )


def test_check_says_everything_that_is_wrong(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(HEAD + "plugins:\n- type: queue-scorre\nplugin: []\n")
    Path("second.yaml").write_text(HEAD)
    assert main(["config", "check", "config.yaml", "second.yaml", "gone.yaml"]) == 1
    assert capsys.readouterr().out == (
        'config.yaml:4: plugins[0].type: "queue-scorre" is no plugin type; did you mean "queue-scorer"?\n'
        'config.yaml:5: plugin: is no field; did you mean "plugins"?\n'
        "second.yaml: can be used\n"
        "gone.yaml: cannot be read: No such file or directory\n"
    )


def test_check_finds_what_shows_only_when_plugins_are_set_up(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        HEAD
        + "plugins:\n- type: prefix-cache-scorer\n  parameters:\n    prefixMatchInfoProducerName: nobody\n"
    )
    assert main(["config", "check", "config.yaml"]) == 1
    assert capsys.readouterr().out == (
        'config.yaml:4: plugins[0].parameters: "nobody" is no ApproxPrefixCacheProducer\n'
    )


def test_check_says_what_is_wrong_with_plugins_of_users(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(HEAD)
    assert main(["config", "check", "config.yaml", "--plugin-path", "gone"]) == 1
    assert capsys.readouterr().out.startswith("gone: cannot be read as a directory of plugins")


def test_check_reads_the_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(HEAD))
    assert main(["config", "check", "-"]) == 0
    assert capsys.readouterr().out == "-: can be used\n"


def test_show_prints_what_a_file_comes_to(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(HEAD + "plugins:\n- type: prefix-cache-scorer\n  parameters: {blockSizeTokens: 64}\n")
    assert main(["config", "show", "config.yaml"]) == 0
    shown = capsys.readouterr().out
    # The index that the scorer made for itself is shown as if it were listed.
    assert "- name: approx-prefix-cache-producer\n" in shown
    config.write_text(shown)
    assert main(["config", "show", "config.yaml"]) == 0
    assert capsys.readouterr().out == shown
    assert main(["config", "check", "config.yaml"]) == 0
    assert capsys.readouterr().out == "config.yaml: can be used\n"


def test_show_without_a_file_is_the_built_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show"]) == 0
    assert "  - pluginRef: expected-ttft-scorer\n    weight: 1\n" in capsys.readouterr().out


def test_show_of_a_faulty_file_says_why_not(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("kind: EndpointPickerConfig\n")
    assert main(["config", "show", "config.yaml"]) == 1
    assert capsys.readouterr() == ("", "config.yaml:1: apiVersion: is missing\n")


def test_schema_is_the_shipped_one_and_knows_users_types(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = Path(__file__).parents[3] / "deploy" / "epp-config.schema.json"
    assert main(["config", "schema"]) == 0
    assert capsys.readouterr().out == shipped.read_text()
    assert main(["plugins", "new", "my-scorer"]) == 0
    capsys.readouterr()
    assert main(["config", "schema", "--plugin-path", "plugins"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "my-scorer" in schema["properties"]["plugins"]["items"]["properties"]["type"]["enum"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["config", "check"], "epp config check: which FILE?"),
        (["config", "show", "a", "b"], "epp config show: one FILE at a time"),
        (["config", "chek"], "epp config: there is no command 'chek'"),
        (["config", "schema", "a"], "command line: a: is no flag, and nothing else may stand here"),
        (
            ["config", "check", "a", "--plugin-pat", "x"],
            "--plugin-pat: is not a flag; did you mean",
        ),
    ],
)
def test_it_says_how_it_is_used(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert error in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 0
    assert "epp config check FILE..." in capsys.readouterr().out
    assert main(["config", "check", "--help"]) == 0
    assert "Usage: epp config check FILE... [flags]" in capsys.readouterr().out
