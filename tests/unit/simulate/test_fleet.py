"""Engines from a file, and the faults of such files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from epp.errors import ConfigError
from epp.sim.engine import EngineConfig
from epp.sim.steptime import StepTime
from epp.simulate.fleet import alike, load_fleet, slower


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fleet.yaml"


def test_some_alike() -> None:
    assert alike(2) == {"engine-0": EngineConfig(), "engine-1": EngineConfig()}


def test_groups_differ_in_what_they_say(path: Path) -> None:
    path.write_text(
        "engines:\n"
        "- count: 2\n"
        "- {name: old, slowdown: 2, maxNumSeqs: 64}\n"
        "- {name: other-gpu, maxLoras: 0, stepTime: {tokenSeconds: 11.8e-6}}\n"
    )
    usual = EngineConfig()
    assert load_fleet(str(path)) == {
        "engine-0": usual,
        "engine-1": usual,
        "old-0": replace(usual, max_num_seqs=64, step_time=slower(usual.step_time, 2)),
        "other-gpu-0": replace(usual, max_loras=0, step_time=StepTime(token_seconds=11.8e-6)),
    }


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_all_of_a_step_is_slower(factor: float) -> None:
    batch = (8, 9000, [(512, 0), (100, 2000)])
    usual = StepTime()
    assert slower(usual, factor).step_seconds(*batch) == pytest.approx(factor * usual.step_seconds(*batch))


def test_all_faults_at_once(path: Path) -> None:
    path.write_text(
        "engines:\n"
        "- count: 0\n"
        "- {name: old, slowdown: 0, numBlocks: -1}\n"
        "- {name: old, maxNumSeq: 3, stepTime: {tokenSeconds: 0, speed: 1}}\n"
        "- {name: small, maxNumBatchedTokens: 100}\n"
        "- {slowdown: 2}\n"
    )
    with pytest.raises(ConfigError) as raised:
        load_fleet(str(path))
    assert [str(fault).removeprefix(f"{path}:") for fault in raised.value.faults] == [
        "2: engines[0].count: has to be from 1 to 10000, not 0",
        "3: engines[1].slowdown: has to be more than 0, not 0.0",
        "3: engines[1].numBlocks: has to be more than 0, not -1",
        "4: engines[2].stepTime.speed: is no field",
        '4: engines[2].maxNumSeq: is no field; did you mean "maxNumSeqs"?',
        '4: engines[2]: has the name "old", which is taken on line 3',
        "4: engines[2].stepTime.tokenSeconds: has to be more than 0, not 0",
        "5: engines[3].maxNumBatchedTokens: must not be less than maxNumSeqs",
        '6: engines[4]: has the name "engine", which is taken on line 2',
    ]


def test_a_fleet_is_bounded(path: Path) -> None:
    path.write_text("engines: [{count: 9999}, {name: more, count: 2}]\n")
    with pytest.raises(ConfigError, match="more than 10000 engines in all"):
        load_fleet(str(path))


@pytest.mark.parametrize("text", ["", "engines: []\n", "[]\n", "engines: [{name: Big Ones}]\n"])
def test_a_file_that_is_no_fleet(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_fleet(str(path))
