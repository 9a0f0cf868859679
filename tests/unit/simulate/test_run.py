"""One policy over one workload."""

from __future__ import annotations

import pickle

import pytest

from epp.errors import ConfigError
from epp.simulate.fleet import alike
from epp.simulate.measures import Slo
from epp.simulate.policies import BUILT_IN, load_policy
from epp.simulate.progress import CELLS, Gauge
from epp.simulate.run import Scenario, extent, measure_task, run_task, simulate

SCENARIO = Scenario("adapters", alike(2), Slo(2.0, 0.05), requests=80, rate=20.0)


def test_how_much_there_is_of_a_workload() -> None:
    whole = extent(SCENARIO)
    assert whole.requests == 80
    assert whole.rate == pytest.approx(20.0, rel=0.4)


def test_a_workload_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        extent(Scenario("nowhere", alike(1), Slo(2.0, 0.05)))


def test_the_same_seed_gives_the_same_run() -> None:
    config = load_policy("default")
    first, second = simulate(config, SCENARIO), simulate(config, SCENARIO)
    assert first.measures == second.measures
    assert first.outcome.done == second.outcome.done
    assert first.measures.requests == 80


@pytest.mark.parametrize("policy", BUILT_IN)
def test_policies_and_runs_cross_processes(policy: str) -> None:
    config = pickle.loads(pickle.dumps(load_policy(policy)))
    assert config == load_policy(policy)
    run = simulate(config, pickle.loads(pickle.dumps(SCENARIO)))
    sent = pickle.dumps(run)
    assert pickle.loads(sent).measures == run.measures


def test_a_task_tells_how_far_it_is() -> None:
    cells = [0.0] * CELLS
    run = run_task(load_policy("random"), SCENARIO, 80, Gauge(cells, 0))
    assert cells[1] == 80
    assert measure_task(load_policy("random"), SCENARIO, 80, Gauge(cells, 0)) == run.measures
