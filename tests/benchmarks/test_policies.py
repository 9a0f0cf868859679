"""The grid of docs/policies.md: what is run, what is remembered, and how it is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.policies import POLICIES, SLO, Case, Results, Workload, means, run, workloads
from benchmarks.policies_report import markdown, mean
from epp.simulate.fleet import alike
from epp.simulate.policies import load_policy
from epp.simulate.run import Scenario

SMALL = {"small": Workload("adapters", "few adapters", 30, alike(2), (1, 2))}


def test_a_grid_is_run_once(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    cases = run(SMALL, [80], results, jobs=1)
    assert {case.policy for case in cases} == set(POLICIES)
    assert len(cases) == 2 * len(POLICIES)
    known = results.read()
    assert len(known) == len(cases) + 1  # and the knee
    before = results.path.read_bytes()
    assert run(SMALL, [80], results, jobs=1) == cases
    assert results.path.read_bytes() == before
    text = markdown(means(cases, results), {("small", 80): 12.5}, {"small": "few adapters"})
    assert "### 80 % of the knee: 12.5 requests a second" in text
    assert text.count("\n| oracle |") == 1
    assert "| small | 80 % |" in text


def test_a_run_is_known_by_all_that_goes_into_it() -> None:
    scenario = Scenario("adapters", alike(2), SLO, requests=30, rate=5.0)
    case = Case("small", 80, "reference", scenario, load_policy("reference"))
    changed = [
        replace(case, config=load_policy("llm-d")),
        replace(case, scenario=replace(scenario, seed=2)),
        replace(case, scenario=replace(scenario, rate=6.0)),
        replace(case, scenario=replace(scenario, fleet=alike(3))),
    ]
    assert len({each.key for each in [case, *changed]}) == 1 + len(changed)
    assert replace(case, load=100).key == case.key


def test_traces_are_run_where_they_are_given() -> None:
    assert "conversation" not in workloads("", "code.csv")
    assert list(workloads("talk.jsonl", "code.csv"))[:2] == ["conversation", "code"]


def test_the_mean_of_what_some_lack() -> None:
    assert mean([{"shed": {"-1": 4}, "done": 1}, {"shed": {}, "done": 2}]) == {
        "shed": {"-1": 2.0},
        "done": pytest.approx(1.5),
    }
