"""`epp plugins` as a shell sees it."""

import json
from pathlib import Path

import pytest

from epp.cli import main
from epp.plugins.registry import OWN_TYPES


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_type_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins"]) == 0
    heads = [line.split(" (")[0] for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert heads == sorted(OWN_TYPES.types)


def test_a_type_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "by-label", "metrics-data-source"]) == 0
    assert (
        capsys.readouterr().out
        == """\
by-label (filter)
  Keeps endpoints whose label has one of some values.
    label: text; needed
        the label
    validValues: list of texts; default unset
        values that are kept
    allowsNoLabel: true or false; default false
        keep endpoints that do not have the label
metrics-data-source (data source)
  Reads the endpoints' metrics pages; the picker does so as its --model-server-metrics flags say.
  (Checked and kept; no effect of its own.)
    scheme: http or https; default "http"
        scheme of the page
    path: text; default "/metrics"
        path of the page
    insecureSkipVerify: true or false; default true
        do not verify the certificate of an https page
    interval: duration; default unset
        llm-d: time between two readings
"""
    )


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "--json", "max-score-picker"]) == 0
    (picker,) = json.loads(capsys.readouterr().out)
    (parameter,) = picker.pop("parameters")
    assert picker == {
        "type": "max-score-picker",
        "kinds": ["picker"],
        "meaning": OWN_TYPES.types["max-score-picker"].meaning,
        "used": True,
        "origin": "",
    }
    assert (parameter["path"], parameter["default"], parameter["required"]) == ("maxNumOfEndpoints", 1, False)


def test_a_type_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "queue-scorre", "latency-scorer"]) == 1
    assert capsys.readouterr().err == (
        'epp plugins: "queue-scorre" is no plugin type; did you mean "queue-scorer"?\n'
        'epp plugins: "latency-scorer" needs latency prediction, which this version does not have\n'
    )


def test_a_new_plugin_is_found_where_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "new", "nearest-filter", "--kind", "filter", "--directory", "mine"]) == 0
    assert capsys.readouterr().out == (
        "wrote mine/nearest_filter.py\n"
        "wrote mine/test_nearest_filter.py\n"
        "try it: python -m pytest mine; epp plugins nearest-filter --plugin-path mine\n"
    )
    assert main(["plugins", "nearest-filter", "--plugin-path", "mine"]) == 0
    assert capsys.readouterr().out.startswith("nearest-filter (filter)\n")


def test_a_new_plugin_overwrites_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("plugins").mkdir()
    Path("plugins/test_mine.py").write_text("precious")
    assert main(["plugins", "new", "mine"]) == 2
    assert capsys.readouterr().err == "plugins/test_mine.py: exists already\n"
    assert not Path("plugins/mine.py").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "epp plugins new: one NAME, such as nearest-scorer"),
        (["My_Scorer"], "command line: My_Scorer: is no name for a type; write lower-case words with dashes"),
        (["queue-scorer"], "command line: queue-scorer: is a type of the picker itself"),
        (["a", "--kind", "parser"], 'command line: --kind: "parser" is not one of scorer, filter, picker'),
    ],
)
def test_it_says_how_it_is_used(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "new", *arguments]) == 2
    assert error in capsys.readouterr().err
