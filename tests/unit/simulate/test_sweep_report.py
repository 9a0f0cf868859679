"""What a sweep found: its order, its table and its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from epp.config.effective import effective_config
from epp.simulate.fleet import alike
from epp.simulate.measures import Measures, Slo
from epp.simulate.policies import load_policy
from epp.simulate.report import table_text
from epp.simulate.run import Scenario, simulate
from epp.simulate.sweep import Sweep, load_sweep
from epp.simulate.sweep_report import ranked, sweep_data, sweep_table

MEASURES = simulate(
    load_policy("random"), Scenario("adapters", alike(1), Slo(2.0, 0.05), requests=20)
).measures


def measures(goodput: float, ttft: float, tpot: float) -> Measures:
    return replace(
        MEASURES,
        goodput=goodput,
        ttft={**MEASURES.ttft, "p90": ttft},
        tpot={**MEASURES.tpot, "p90": tpot},
    )


# The base and the three variants.
FOUND = [
    measures(9.0, 0.3, 0.01),
    measures(10.001, 0.2, 0.04),
    measures(10.002, 0.4, 0.03),
    measures(7.0, 0.1, 0.02),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweep.yaml"


def sweep(path: Path, objective: str) -> Sweep:
    path.write_text(f"base: reference\nobjective: {objective}\nweights: {{queue-scorer: [1, 5, 9]}}\n")
    return load_sweep(str(path), 1, load_policy)


@pytest.mark.parametrize(
    ("objective", "order"),
    [
        ("goodput", [1, 2, 0, 3]),  # of two that are equal to three digits the one with the better TTFT
        ("ttft", [3, 1, 0, 2]),
        ("tpot", [0, 3, 2, 1]),
    ],
)
def test_the_best_first(path: Path, objective: str, order: list[int]) -> None:
    found = ranked(sweep(path, objective), FOUND)
    assert [FOUND.index(each.measures) for each in found] == order
    assert [each.place for each in found] == [1, 2, 3, 4]


def test_a_time_that_is_not_known_is_the_worst(path: Path) -> None:
    found = ranked(sweep(path, "ttft"), [measures(9.0, float("nan"), 0.01), *FOUND[1:]])
    assert found[-1].place == 4
    assert found[-1].measures.goodput == 9.0


def test_the_table_marks_the_base(path: Path) -> None:
    lines = table_text(sweep_table(swept := sweep(path, "goodput"), ranked(swept, FOUND))).splitlines()
    assert lines[0] == "Sweep of reference: the best of 4 by goodput"
    assert [line.split()[:3] for line in lines[-4:]] == [
        ["1", "1", MEASURES_IN_SLO],
        ["2", "5", MEASURES_IN_SLO],
        ["3", "base", "2"],
        ["4", "9", MEASURES_IN_SLO],
    ]


MEASURES_IN_SLO = f"{MEASURES.in_slo:.1%}"


def test_the_data_has_all_and_the_winner(path: Path) -> None:
    swept = sweep(path, "goodput")
    data = sweep_data(swept, ranked(swept, FOUND))
    assert [each["settings"] for each in data["results"]] == [
        {"queue-scorer": "1"},
        {"queue-scorer": "5"},
        {"queue-scorer": "2"},
        {"queue-scorer": "9"},
    ]
    assert [each["base"] for each in data["results"]] == [False, False, True, False]
    assert data["winner"] == effective_config(swept.variants[0])
