"""The numbers of small runs, worked out by hand."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from epp.sim.engine import Engine, EngineConfig
from epp.simulate.measures import Floats, Slo, imbalance, measure
from epp.simulate.simulation import Done, Outcome
from epp.simulate.timeline import Timeline
from epp.simulate.workload import Arrival

SLO = Slo(ttft=1.0, tpot=0.1)


def done(server: str, arrived: float, first: float, last: float, tokens: int, priority: int = 0) -> Done:
    return Done(server, arrived, first, last, tokens, cached_tokens=0, prompt_tokens=10, priority=priority)


def shed(priority: int) -> Arrival:
    return Arrival(0.0, (), 1, "", priority=priority)


def timeline(*running_of_a_and_b: tuple[int, int]) -> Timeline:
    seen = Timeline(["a", "b"])
    for now, (a, b) in enumerate(running_of_a_and_b):
        seen.add(now, [(a, 0, 0.0, 0, 0), (b - 1, 1, 0.0, 0, 0) if b else (0, 0, 0.0, 0, 0)])
    return seen


def test_a_run() -> None:
    servers = {name: Engine(EngineConfig()) for name in ("a", "b")}
    servers["a"].counters.prefix_queries, servers["a"].counters.prefix_hits = 300, 60
    servers["b"].counters.prefix_queries, servers["b"].counters.preemptions = 100, 3
    outcome = Outcome(
        done=[
            done("a", 0.0, 0.5, 1.5, 11, priority=2),  # good: exactly 100 ms a token
            done("a", 0.0, 2.0, 2.1, 11),  # its first token came late
            done("a", 1.0, 1.5, 3.5, 11),  # its tokens came slowly
            done("b", 9.0, 10.0, 10.0, 1),  # good, with a first token alone
        ],
        refused=[shed(-1), shed(-1), shed(-2)],
        impossible=[shed(0)],
        ended_at=10.0,  # a second after the last arrival
        prompt_tokens=400,
        ideal_cached_tokens=100,
        timeline=timeline((3, 0), (3, 1), (1, 2)),
    )
    measures = measure(outcome, servers, SLO)
    assert (measures.requests, measures.done, measures.impossible) == (8, 4, 1)
    assert (measures.ttft["mean"], measures.ttft["p50"]) == (1.0, 0.75)
    assert (measures.tpot["p50"], measures.tpot["p90"]) == pytest.approx((0.1, 0.18))
    assert (measures.latency["mean"], measures.latency["p99"]) == pytest.approx((7.1 / 4, 2.488))
    assert (measures.in_slo, measures.goodput) == (2 / 8, 2 / 9)
    assert (measures.requests_per_second, measures.output_tokens_per_second) == (0.4, 3.4)
    assert measures.prompt_tokens_per_second == 40
    assert (measures.prefix_hit_rate, measures.ideal_hit_rate, measures.preemptions) == (0.15, 0.25, 3)
    assert measures.imbalance == pytest.approx((3 + 3 + 2) / (1.5 + 2 + 1.5))
    assert measures.shed == {"-1": 2, "-2": 1}
    assert list(measures.priorities) == ["2", "0", "-1", "-2"]
    usual, sheddable = measures.priorities["0"], measures.priorities["-1"]
    assert (usual.requests, usual.shed, usual.in_slo, usual.ttft["p50"]) == (4, 0, 1 / 4, 1.0)
    assert (sheddable.requests, sheddable.shed, sheddable.in_slo) == (2, 2, 0.0)
    assert isnan(sheddable.ttft["mean"])


def test_nothing_was_served() -> None:
    measures = measure(Outcome(refused=[shed(-1)]), {"a": Engine(EngineConfig())}, SLO)
    assert isnan(measures.ttft["p99"])
    assert isnan(measures.imbalance)
    assert (measures.in_slo, measures.goodput, measures.ideal_hit_rate) == (0.0, 0.0, 0.0)


LOADS = st.tuples(st.integers(1, 6), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 100).map(float))
)


@given(LOADS)
def test_imbalance_is_from_one_to_the_number_of_engines(load: Floats) -> None:
    if load.any():
        assert 1 - 1e-9 <= imbalance(load) <= load.shape[1] + 1e-9
    else:
        assert isnan(imbalance(load))


def test_idle_moments_do_not_count_as_imbalance() -> None:
    busy, idle = [[10.0, 10.0]], [[1.0, 0.0]]
    assert imbalance(np.array(busy * 10)) == 1.0
    assert imbalance(np.array(busy * 10 + idle * 10)) < 1.06
