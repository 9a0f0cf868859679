"""`epp simulate` from its arguments to what it prints and writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from epp.config.picker import load_picker_config
from epp.errors import ConfigError
from epp.plugins.registry import OWN_TYPES
from epp.simulate.main import main
from epp.simulate.policies import BUILT_IN

SMALL = ["--workload", "adapters", "--requests", "40", "--engines", "2", "--jobs", "1"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_a_page_and_a_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "mine.yaml").write_text(BUILT_IN["random"])
    assert main([*SMALL, "--policy", "default", "--policy", "mine.yaml"]) == 0
    written = capsys.readouterr()
    names = [line.split()[0] for line in written.out.splitlines() if line]
    assert names.count("default") == names.count("mine.yaml") >= 1
    assert [line.split(":")[1].strip() for line in written.err.splitlines()] == [
        *("default", "mine.yaml", "numbers in simulate.json", "page in simulate.html")
    ]
    assert "events, " in written.err
    assert list(json.loads((folder / "simulate.json").read_text())["policies"]) == ["default", "mine.yaml"]
    assert "mine.yaml" in (folder / "simulate.html").read_text()


@pytest.mark.parametrize("workload", ["chat", "adapters", "bursts", "priorities", "mooncake-sample"])
def test_every_request_is_answered_or_refused(workload: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "--workload", workload, "--policy", "default", "--json", "-", "--html", ""])
    numbers = json.loads(capsys.readouterr().out)["policies"]["default"]
    assert numbers["done"] + sum(numbers["shed"].values()) == 40


def test_processes_give_the_same_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [*SMALL, "--html", "", "--policy", "random,least-requests"]
    main([*argv, "--jobs", "1", "--json", "one.json"])
    main([*argv, "--jobs", "2", "--json", "two.json"])
    one, two = (json.loads((folder / name).read_text())["policies"] for name in ("one.json", "two.json"))
    assert one == two
    assert capsys.readouterr().err.count("least-requests: ") == 2


def test_a_trace_the_same_twice(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    line = '{"timestamp": %d, "input_length": 1000, "output_length": 20, "hash_ids": [0, %d]}\n'
    (folder / "trace.jsonl").write_text("".join(line % (100 * n, n) for n in range(1, 20)))
    argv = ["--workload", "trace.jsonl", "--requests", "30", "--policy", "default", "--html", ""]
    main(argv)
    first = (folder / "simulate.json").read_text()
    main(argv)
    assert (folder / "simulate.json").read_text() == first
    assert json.loads(first)["policies"]["default"]["done"] == 30
    assert "default" in capsys.readouterr().out


def test_the_knee(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert main([*SMALL, "--find-knee", "--slo-ttft", "300ms", "--policy", "random", "--html", ""]) == 0
    written = capsys.readouterr()
    assert written.out.startswith("Knee: ")
    assert "rates tried" in written.err
    content = json.loads((folder / "simulate.json").read_text())
    found = content["knee"]["policies"]["random"]
    assert found["rate"] in [probe["rate"] for probe in found["probes"]]
    assert content["policies"]["random"]["in_slo"] > 0.8


def test_a_sweep(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "sweep.yaml").write_text(
        "base: least-requests\nobjective: ttft\nweights: {active-request-scorer: [0, 2]}\n"
    )
    argv = [*SMALL, "--sweep", "sweep.yaml", "--sweep-out", "best.yaml", "--policy", "random"]
    assert main([*argv, "--html", "page.html"]) == 0
    assert "Sweep of least-requests: the best of 3 by ttft" in capsys.readouterr().out
    content = json.loads((folder / "simulate.json").read_text())
    assert list(content["policies"])[:2] == ["random", "least-requests"]
    times = [each["measures"]["ttft"]["p90"] for each in content["sweep"]["results"]]
    assert times == sorted(times)
    best = load_picker_config((folder / "best.yaml").read_text(), "best.yaml", OWN_TYPES)
    assert next(ref.name for ref in best.profiles[0].plugins) == "active-request-scorer"
    assert "Sweep of least-requests" in (folder / "page.html").read_text()


@pytest.mark.parametrize("how", [[], ["--find-knee"]])
def test_a_plugin_that_fails_is_told_of(
    how: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.py").write_text(
        "class BrokenScorer:\n    def score(self, request, endpoints):\n        raise KeyError('x')\n"
    )
    (folder / "policy.yaml").write_text(BUILT_IN["least-requests"].replace("active-request", "broken"))
    argv = [*SMALL, *how, "--plugin-path", ".", "--policy", "policy.yaml,random", "--html", "", "--json", ""]
    assert main(argv) == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "misbehaves" in line]
    message, _, times = line.rpartition("; ")
    assert message == (
        "epp simulate: policy.yaml: plugin broken-scorer of type broken-scorer misbehaves (raised) and is "
        f"left out: KeyError at {folder}/broken.py:3"
    )
    # Each request once; those of a knee search are more than were asked for.
    assert times == "40 times" if not how else int(times.removesuffix(" times")) > 40


def test_help_on_workloads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--workload", "help"]) == 0
    assert "shared-prefix" in capsys.readouterr().out


def test_a_file_that_cannot_be_written(folder: Path) -> None:
    (folder / "taken").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        main([*SMALL, "--policy", "random", "--json", "taken", "--html", ""])


def test_ctrl_c_ends_it_without_a_word_too_many(folder: Path) -> None:
    # The plugin's first pick tells that the run is under way.
    (folder / "plugins").mkdir()
    (folder / "plugins" / "told.py").write_text(
        "import pathlib\n"
        "class ToldPicker:\n"
        "    def pick(self, totals, endpoints, rng):\n"
        "        pathlib.Path('begun').touch()\n"
        "        return (0,)\n"
    )
    (folder / "told.yaml").write_text(BUILT_IN["random"].replace("random-picker", "told-picker"))
    command = [sys.executable, "-m", "epp", "simulate", "--requests", "100000", "--jobs", "2"]
    command += ["--policy", "told.yaml,random", "--plugin-path", "plugins"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (folder / "begun").exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, told = process.communicate()
    assert process.returncode == 130
    assert told == "epp simulate: interrupted\n"
