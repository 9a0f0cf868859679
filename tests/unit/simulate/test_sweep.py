"""Sweep files: what they come to, and their faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from epp.config.effective import effective_text
from epp.config.picker import load_picker_config
from epp.errors import ConfigError
from epp.plugins.registry import OWN_TYPES
from epp.simulate.policies import load_policy
from epp.simulate.sweep import Sweep, load_sweep


def read(tmp_path: Path, text: str, seed: int = 1) -> Sweep:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return load_sweep(str(path), seed, load_policy)


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in raised.value.faults]


def values(sweep: Sweep) -> list[tuple[str, ...]]:
    return [tuple(value for _, value in sweep.settings(config)) for config in sweep.variants]


GRID = """\
base: reference
weights:
  queue-scorer: [1, 2]
  prefix-cache-scorer: [0.5, 3]
parameters:
  prefix-cache-scorer:
    blockSizeTokens: [16, 64]
"""


def test_every_combination_but_the_base_itself(tmp_path: Path) -> None:
    sweep = read(tmp_path, GRID)
    assert [str(axis.what) for axis in sweep.axes] == [
        "queue-scorer",
        "prefix-cache-scorer",
        "prefix-cache-scorer.blockSizeTokens",
    ]
    assert values(sweep) == [
        ("1", "0.5", "16"),
        ("1", "0.5", "64"),
        ("1", "3", "16"),
        ("1", "3", "64"),
        ("2", "0.5", "16"),
        ("2", "0.5", "64"),
        ("2", "3", "64"),
    ]
    assert dict(sweep.settings(sweep.base)) == {
        "queue-scorer": "2",
        "prefix-cache-scorer": "3",
        "prefix-cache-scorer.blockSizeTokens": "16",
    }


def test_what_the_base_leaves_out_is_unset(tmp_path: Path) -> None:
    sweep = read(
        tmp_path,
        "base: sticky-until-saturated\n"
        "parameters: {inflight-load-producer: {maxEstimatedOutputTokens: [32]}}\n",
    )
    assert [value for _, value in sweep.settings(sweep.base)] == ["unset"]


def test_a_variant_is_a_whole_file(tmp_path: Path) -> None:
    sweep = read(tmp_path, GRID)
    for config in sweep.variants:
        written = load_picker_config(effective_text(config), config.file, OWN_TYPES)
        assert sweep.settings(written) == sweep.settings(config)
        assert written.profiles == config.profiles


def test_a_sample_is_drawn_once_each_and_from_the_seed(tmp_path: Path) -> None:
    text = "base: reference\nsamples: 20\nweights:\n" + "".join(
        f"  {name}: [{', '.join(map(str, range(1, 100)))}]\n"
        for name in ("queue-scorer", "kv-cache-utilization-scorer", "prefix-cache-scorer")
    )
    sweep = read(tmp_path, text)
    assert len(sweep.variants) == len(set(values(sweep))) == 20
    assert values(read(tmp_path, text)) == values(sweep)
    assert values(read(tmp_path, text, seed=2)) != values(sweep)


def test_a_sample_as_large_as_the_grid_is_the_grid(tmp_path: Path) -> None:
    assert values(read(tmp_path, f"samples: 8\n{GRID}")) == values(read(tmp_path, GRID))


def test_all_faults_at_once(tmp_path: Path) -> None:
    text = """\
base: reference
objective: gooput
weights:
  prefix-cache-scorr: [1, 3]
  kv-cache-utilization-scorer: [0, x]
  queue-scorer: [1, 1]
parameters:
  prefix-cache-scorer:
    blockSizeTokens: [16, no]
    blocksizetoken: [3]
"""
    assert faults(tmp_path, text) == [
        'sweep.yaml:2: objective: has to be one of goodput, ttft, tpot, not "gooput"; '
        'did you mean "goodput"?',
        'sweep.yaml:4: weights.prefix-cache-scorr: "prefix-cache-scorr" is no plugin of reference; '
        'did you mean "prefix-cache-scorer"?',
        'sweep.yaml:5: weights.kv-cache-utilization-scorer[1]: has to be a number, not "x"',
        "sweep.yaml:6: weights.queue-scorer: has 1.0 more than once",
        'sweep.yaml:9: parameters.prefix-cache-scorer.blockSizeTokens[1]: has to be a whole number, not "no"',
        "sweep.yaml:10: parameters.prefix-cache-scorer.blocksizetoken: prefix-cache-scorer has no such "
        'parameter; did you mean "blockSizeTokens"?',
    ]


def test_faults_of_the_base_are_told_with_those_of_the_sweep(tmp_path: Path) -> None:
    assert faults(tmp_path, "base: nobody\nwieghts: {}\n") == [
        'sweep.yaml:2: wieghts: is no field; did you mean "weights"?',
        "nobody: cannot be read: No such file or directory",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: default\n", "neither weights nor parameters"),
        ("base: random\nweights: {random-picker: [1]}\n", '"random-picker" has no weight: it is no scorer'),
        ("base: reference\nparameters: {prefix-cache-scorer: {blockSizeTokens: [0]}}\n", "sweep.yaml:2: .*0"),
        ("base: reference\nweights: {queue-scorer: []}\n", "1 to 100 items, not 0"),
    ],
)
def test_a_sweep_that_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_a_grid_that_is_too_large_needs_a_sample(tmp_path: Path) -> None:
    many = ", ".join(map(str, range(100)))
    names = ("queue-scorer", "prefix-cache-scorer", "kv-cache-utilization-scorer")
    text = "base: reference\nweights:\n" + "".join(f"  {name}: [{many}]\n" for name in names)
    assert faults(tmp_path, text) == [
        "sweep.yaml:1: samples: is missing: there are 1000000 combinations, and at most 10000 are run"
    ]
