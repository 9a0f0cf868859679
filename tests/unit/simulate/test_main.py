"""`epp simulate` from its arguments to what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from epp.errors import ConfigError
from epp.simulate.main import main
from epp.simulate.policies import BUILT_IN

SMALL = ["--requests", "60", "--engines", "2"]


def test_a_table_of_policies(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(BUILT_IN["random"])
    assert main([*SMALL, "--policy", "default", "--policy", str(mine)]) == 0
    written = capsys.readouterr()
    assert [line.split()[0] for line in written.out.splitlines()] == ["policy", "default", str(mine)]
    assert [line.split(":")[0] for line in written.err.splitlines()] == ["default", str(mine)]
    assert "events" in written.err


@pytest.mark.parametrize("workload", ["chat", "adapters", "bursts", "heavy-tailed", "priorities"])
def test_every_request_is_answered_or_refused(workload: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "--workload", workload, "--policy", "default", "--json", "-"])
    numbers = json.loads(capsys.readouterr().out)["policies"]["default"]
    assert numbers["done"] + sum(numbers["shed"].values()) == 60


def test_a_trace_into_a_file_the_same_twice(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace, numbers = tmp_path / "trace.jsonl", tmp_path / "numbers.json"
    line = '{"timestamp": %d, "input_length": 1000, "output_length": 20, "hash_ids": [0, %d]}\n'
    trace.write_text("".join(line % (100 * n, n) for n in range(1, 20)))
    argv = ["--workload", str(trace), "--requests", "30", "--policy", "default", "--json", str(numbers)]
    main(argv)
    first = numbers.read_text()
    main(argv)
    assert numbers.read_text() == first
    assert json.loads(first)["policies"]["default"]["done"] == 30
    assert "default" in capsys.readouterr().out


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        main([*SMALL, "--policy", "random", "--json", str(tmp_path / "none" / "numbers.json")])
