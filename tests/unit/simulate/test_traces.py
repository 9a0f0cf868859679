"""Traces in the two public formats; the samples here are made up."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from epp.errors import ConfigError
from epp.simulate.traces import Traced, read_trace, replay
from epp.simulate.workload import text

MOONCAKE = """\
{"timestamp": 1000, "input_length": 1030, "output_length": 5, "hash_ids": [0, 1, 2]}
{"timestamp": 3000, "input_length": 1100, "output_length": 7, "hash_ids": [0, 1, 3]}

{"timestamp": 2000, "input_length": 12, "output_length": 9, "hash_ids": []}
"""
AZURE = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 23:59:59.7500000,374,44
2023-11-17 00:00:01.2500000,396,109
"""


def written(tmp_path: Path, name: str, content: str) -> Path:
    file = tmp_path / name
    file.write_text(content)
    return file


def test_mooncake(tmp_path: Path) -> None:
    assert read_trace(written(tmp_path, "trace.jsonl", MOONCAKE)) == [
        Traced(0.0, 1030, 5, (0, 1, 2)),
        Traced(1.0, 12, 9),
        Traced(2.0, 1100, 7, (0, 1, 3)),
    ]


def test_azure(tmp_path: Path) -> None:
    assert read_trace(written(tmp_path, "trace.csv", AZURE)) == [Traced(0.0, 374, 44), Traced(1.5, 396, 109)]


def test_prompts_share_the_blocks_that_the_trace_says(tmp_path: Path) -> None:
    first, short, second = (
        text(arrival.prompt) for arrival in replay(read_trace(written(tmp_path, "trace.jsonl", MOONCAKE)))
    )
    assert [len(first), len(short), len(second)] == [4 * 1030, 4 * 12, 4 * 1100]
    assert first[:4096] == second[:4096]  # two blocks of 512 tokens
    assert first[4096:4104] != second[4096:4104]


def test_a_trace_begins_again_with_other_prompts() -> None:
    trace = [Traced(0.0, 600, 1, (0, 1)), Traced(2.0, 600, 1, (0, 2))]
    arrivals = list(replay(trace, requests=5))
    assert [arrival.at for arrival in arrivals] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert arrivals[0].prompt[0] == arrivals[1].prompt[0]
    assert arrivals[2].prompt[0] == arrivals[3].prompt[0]
    assert len({arrival.prompt[0] for arrival in arrivals}) == 3
    assert len({arrival.answer for arrival in arrivals}) == 5


def test_the_rate_is_scaled() -> None:
    trace = [Traced(float(second), 10, 1) for second in range(100)]
    assert [arrival.at for arrival in replay(trace, 3, rate=4.0)] == pytest.approx([0.0, 0.25, 0.5])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trace.jsonl", MOONCAKE + "{}\n", r"trace\.jsonl:5.*timestamp"),
        ("trace.jsonl", "", "has no requests"),
        ("trace.jsonl", '{"timestamp": 0, "input_length": -1, "output_length": 5}', r":1.*from 0 to"),
        ("trace.jsonl", '{"timestamp": 0, "input_length": 9, "output_length": 99999999}', r":1.*from 0 to"),
        ("trace.jsonl", '{"timestamp": "now", "input_length": 9, "output_length": 9}', r":1.*timestamp"),
        ("trace.csv", AZURE + "soon,1,1\n", r"trace\.csv:4.*soon"),
        ("trace.csv", AZURE + "2023-11-17 00:00:02\n", r"trace\.csv:4"),
        ("trace.csv", AZURE + "2023-11-17 00:00:02,1,-7\n", r"trace\.csv:4.*from 0 to"),
        ("trace.csv", AZURE + "2023-11-17 00:00:02,few,7\n", r"trace\.csv:4.*few"),
        ("trace.csv", AZURE + "2023-13-17 00:00:02,1,7\n", r"trace\.csv:4"),
        ("trace.csv", "a,b\n1,2\n", r"trace\.csv:1.*no column 'TIMESTAMP'"),
        ("trace.csv", "", "has no requests"),
    ],
)
def test_faults_have_their_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_trace(written(tmp_path, name, content))


@pytest.mark.parametrize("zone", ["", "Z", "+00:00", "-07:00"])
def test_times_may_name_their_zone(tmp_path: Path, zone: str) -> None:
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    lines += [f"2024-05-10 00:00:0{second}{zone},5,6" for second in ("0.009930", "1", "2.5000000")]
    trace = read_trace(written(tmp_path, "trace.csv", "\n".join(lines)))
    assert [each.at for each in trace] == pytest.approx([0.0, 0.99007, 2.49007], abs=1e-5)


def test_a_request_without_tokens_has_one(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, "trace.csv", AZURE + "2023-11-17 00:00:02,0,0\n"))
    assert trace[-1] == Traced(pytest.approx(2.25), 1, 1)


@pytest.mark.parametrize(("name", "content"), [("trace.jsonl", MOONCAKE), ("trace.csv", AZURE)])
def test_packed(tmp_path: Path, name: str, content: str) -> None:
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(content.encode()))
    assert read_trace(packed) == read_trace(written(tmp_path, name, content))


@pytest.mark.parametrize("damage", [lambda packed: packed[:-12], lambda packed: b"plain" + packed])
def test_packed_badly(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "trace.jsonl.gz"
    file.write_bytes(damage(gzip.compress(MOONCAKE.encode())))
    with pytest.raises(ConfigError, match=r"trace\.jsonl\.gz.*cannot be read"):
        read_trace(file)


def test_the_first_requests_alone_are_read(tmp_path: Path) -> None:
    trace = written(tmp_path, "trace.jsonl", MOONCAKE + "and so on\n")
    assert len(read_trace(trace, most=3)) == 3


def test_a_trace_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(tmp_path / "none.jsonl")
