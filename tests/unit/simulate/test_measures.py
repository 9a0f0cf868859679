"""The numbers of small runs, worked out by hand."""

from __future__ import annotations

from math import isnan

import pytest

from epp.sim.engine import Engine, EngineConfig
from epp.simulate.measures import Slo, measure
from epp.simulate.simulation import Done, Outcome
from epp.simulate.workload import Arrival

SLO = Slo(ttft=1.0, tpot=0.1)


def done(server: str, arrived: float, first: float, last: float, tokens: int) -> Done:
    return Done(server, arrived, first, last, tokens, cached_tokens=0, prompt_tokens=100, priority=0)


def shed(priority: int) -> Arrival:
    return Arrival(0.0, (), 1, "", priority=priority)


def test_a_run() -> None:
    servers = {name: Engine(EngineConfig()) for name in ("a", "b")}
    servers["a"].counters.prefix_queries, servers["a"].counters.prefix_hits = 300, 60
    servers["b"].counters.prefix_queries, servers["b"].counters.preemptions = 100, 3
    outcome = Outcome(
        done=[
            done("a", 0.0, 0.5, 1.5, 11),  # good: exactly 100 ms a token
            done("a", 0.0, 2.0, 2.1, 11),  # its first token came late
            done("a", 1.0, 1.5, 3.5, 11),  # its tokens came slowly
            done("b", 9.0, 10.0, 10.0, 1),  # good, with a first token alone
        ],
        refused=[shed(-1), shed(-1), shed(-2)],
        impossible=[shed(0)],
        ended_at=10.0,
    )
    measures = measure(outcome, servers, SLO)
    assert measures.done == 4
    assert measures.ttft["p50"] == pytest.approx(0.75)
    assert measures.tpot == pytest.approx({"p50": 0.1, "p90": 0.18, "p99": 0.198})
    assert (measures.in_slo, measures.goodput) == (2 / 8, 0.2)
    assert (measures.requests_per_second, measures.output_tokens_per_second) == (0.4, 3.4)
    assert (measures.prefix_hit_rate, measures.preemptions) == (0.15, 3)
    assert measures.imbalance == pytest.approx(6.1 / (7.1 / 2))
    assert measures.shed == {"-2": 1, "-1": 2}
    assert measures.impossible == 1


def test_nothing_was_served() -> None:
    measures = measure(Outcome(refused=[shed(-1)]), {"a": Engine(EngineConfig())}, SLO)
    assert isnan(measures.ttft["p99"])
    assert (measures.in_slo, measures.goodput, measures.imbalance) == (0.0, 0.0, 0.0)
