"""Workloads as users write them: names, parameters, samples and paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from epp.errors import ConfigError
from epp.simulate.generators import GENERATORS
from epp.simulate.workloads import SAMPLES, adapters, arrivals, help_text
from tests.trace_samples import samples


@pytest.mark.parametrize("name", [*GENERATORS, *SAMPLES])
def test_each_name_is_a_workload(name: str) -> None:
    first = list(arrivals(name, 20, None, seed=1))
    assert len(first) == 20
    assert list(arrivals(name, 20, None, seed=1)) == first
    assert {arrival.adapter for arrival in first} - {""} <= adapters(name)


def test_what_is_not_said() -> None:
    drawn = list(arrivals("sharegpt", None, None, seed=1))
    assert len(drawn) == 2000
    assert drawn[-1].at == pytest.approx(100, rel=0.1)
    assert len(list(arrivals("azure-sample", None, None, seed=1))) == 200


def test_parameters() -> None:
    workload = "shared-prefix:groups=1,prefix=200,question=30-40,output=7,skew=0"
    for arrival in arrivals(workload, 50, 5.0, seed=1):
        common, own = arrival.prompt
        assert common == ("group 0", 200)
        assert 30 <= own.tokens <= 40
        assert arrival.output_tokens == 7


def test_parameters_change_what_a_name_stands_for() -> None:
    (arrival,) = arrivals("llm-d-c:output=9", 1, None, seed=1)
    assert [piece.tokens for piece in arrival.prompt] == [6000, 1200]
    assert arrival.output_tokens == 9


def test_adapters() -> None:
    assert adapters("adapters:adapters=2") == {"adapter-0", "adapter-1"}
    assert adapters("chat") == adapters("trace.jsonl") == frozenset()


def test_a_path(tmp_path: Path) -> None:
    trace = tmp_path / "hour.jsonl"
    trace.write_text('{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}\n' * 3)
    assert [each.output_tokens for each in arrivals(str(trace), 5, 1.0, seed=1)] == [5] * 5


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("chat:turn=3", r"--workload chat:turn=3: turn: is no parameter; there are .*did you mean \"turns\""),
        ("chat:turns", "turns:.*nothing that can be drawn"),
        ("chat:", "is no parameter"),
        ("chat:systems=many", 'systems: "many" is no whole number'),
        ("chat:systems=0", "systems: must be from 1 to 100,000"),
        ("shared-prefix:groups=1000000", "groups: must be from 1 to 100,000"),
        ("priorities:critical=0.6,sheddable=0.6", "critical: must not come to more than 1"),
        ("bursts:size=0", "size: must be from 1"),
        ("waves:busy=0", "busy: must be from 0.01"),
        ("adapters:base=2", "base: must be from 0 to 1"),
        ("sharegpt:share=-1", "share: must be from 0 to 1"),
        ("agents:context=0", "context: must be from 1"),
        ("chatt", r"neither a file nor one of shared-prefix, chat.*did you mean \"chat\""),
        ("none.jsonl", "neither a file nor one of"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_drawn(workload: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        arrivals(workload, None, None, seed=1)


def test_all_faults_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        adapters("adapters:adapter=3,prefix=long,base=0.5")
    assert [fault.path for fault in caught.value.faults] == ["adapter", "prefix"]


def test_help_tells_every_workload_and_parameter() -> None:
    told = help_text()
    for name in (*GENERATORS, *SAMPLES):
        assert name in told
    assert "think=5-60" in told
    assert "~250: exponential" in told


def test_samples_are_what_their_maker_makes() -> None:
    assert {path: path.read_text() for path in SAMPLES.values()} == samples()
