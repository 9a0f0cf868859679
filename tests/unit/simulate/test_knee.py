"""The search for the knee: on curves that are known, and on engines."""

from __future__ import annotations

import itertools
import math
import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.simulate.fleet import alike
from epp.simulate.knee import PRECISION, falling, find_knee, lasting, search
from epp.simulate.measures import Slo
from epp.simulate.policies import load_policy
from epp.simulate.progress import CELLS, Gauge
from epp.simulate.run import Scenario, extent, simulate


def cliff(at: float, rate: float) -> float:
    return 1.0 if rate <= at else 0.0


@pytest.mark.parametrize("start", [0.7, 20, 900])
def test_the_knee_of_a_cliff(start: float) -> None:
    knee = search(partial(cliff, 23.4), 0.9, start)
    assert knee is not None
    assert 23.4 / PRECISION**1.2 <= knee <= 23.4  # and the three digits


@given(st.floats(1, 500), st.floats(0.5, 0.99), st.floats(5, 60))
def test_the_knee_of_a_slope(middle: float, share: float, steepness: float) -> None:
    def curve(rate: float) -> float:
        return 1 / (1 + math.exp(min(700, steepness * math.log(rate / middle))))

    knee = search(curve, share, 20)
    assert knee is not None
    assert curve(knee) >= share
    assert curve(knee * PRECISION**1.5) < share


def test_no_rate_is_asked_about_twice_and_few_are() -> None:
    asked: list[float] = []

    def curve(rate: float) -> float:
        asked.append(rate)
        return cliff(31, rate)

    search(curve, 0.9, 20)
    assert len(asked) == len(set(asked)) <= 10
    assert [float(f"{rate:.3g}") for rate in asked] == asked


def test_one_unlucky_rate_does_not_hide_the_knee() -> None:
    """20 keeps, 40 does not, and 28.3, the first between them, is unlucky."""

    def curve(rate: float) -> float:
        return 0.85 if rate == 28.3 else 0.97 * cliff(34, rate)

    knee = search(curve, 0.9, 20)
    assert knee is not None
    # The search closes in on 28.3, looks above it, finds that all keeps there, and goes on.
    assert knee > 33


def test_one_lucky_rate_is_no_knee() -> None:
    def curve(rate: float) -> float:
        return 0.91 if rate == 28.3 else max(0.0, 1.9 - rate / 22)  # 0.9 at 22

    knee = search(curve, 0.9, 20)
    assert knee is not None
    assert knee == pytest.approx(22, rel=0.05)


@given(st.integers(0, 10_000))
def test_noise_of_two_per_cent_moves_a_slope_by_little(seed: int) -> None:
    rng = random.Random(seed)

    def curve(rate: float) -> float:
        return 1 - max(0.0, rate / 20 - 1) + rng.uniform(-0.02, 0.02)  # 0.9 at 22

    knee = search(curve, 0.9, 16)
    assert knee is not None
    assert 22 * 0.94 < knee < 22 * 1.06


def test_an_slo_that_no_rate_keeps() -> None:
    asked: list[float] = []

    def curve(rate: float) -> float:
        asked.append(rate)
        return 0.5

    assert search(curve, 0.9, 20) is None
    assert min(asked) > 20 / 100


def test_an_slo_that_every_rate_keeps() -> None:
    knee = search(lambda rate: 1.0, 0.9, 20)
    assert knee is not None
    assert knee > 20 * 500


@given(st.lists(st.floats(0, 1), max_size=12))
def test_the_falling_curve(values: list[float]) -> None:
    fitted = falling(values)
    assert len(fitted) == len(values)
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(fitted))
    assert sum(fitted) == pytest.approx(sum(values))
    if values == sorted(values, reverse=True):
        assert fitted == values


def test_a_wrong_order_counts_as_its_mean() -> None:
    assert falling([1.0, 0.5, 0.7, 0.2]) == pytest.approx([1.0, 0.6, 0.6, 0.2])


def test_the_knee_of_engines() -> None:
    scenario = Scenario("adapters", alike(2), Slo(0.5, 0.05), requests=50, rate=20.0)
    config = load_policy("random")
    cells = [0.0] * CELLS
    knee = find_knee(config, scenario, 0.9, extent(scenario), Gauge(cells, 0))
    rates = [probe.rate for probe in knee.probes]
    assert rates == sorted(rates)
    assert knee.rate in rates
    assert knee.rate is not None
    again = simulate(config, lasting(scenario, 50, knee.rate)).measures
    assert knee.run.measures == again  # the reported run is the one at the knee
    assert again.in_slo >= 0.85
    assert min(probe.measures.in_slo for probe in knee.probes) < 0.9
    assert knee.events > sum(50 for _ in knee.probes)
    assert cells[1] >= 50 * (len(rates) + 1)


def test_high_rates_have_more_requests() -> None:
    scenario = Scenario("adapters", alike(2), Slo(0.5, 0.05))
    assert lasting(scenario, 50, 0.5).requests == 50
    assert lasting(scenario, 50, 20.0).requests == 20 * 60
