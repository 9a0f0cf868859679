"""Speeds, learned from answers of servers whose speed is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.datastore.endpoints import Floats
from epp.forecast.prefill import PrefillSpeed, pairs_of

INTERVAL = 1.0  # between two answers, seconds


@dataclass
class Pool:
    """Servers that take as long as `true` coefficients say, each by its factor, give or take some noise."""

    true: tuple[float, float, float, float]
    factors: tuple[float, ...] = (1.0,)
    noise: float = 0.0
    now: float = 0.0
    speed: PrefillSpeed = field(default_factory=PrefillSpeed)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def __post_init__(self) -> None:
        self.speed.make_room(len(self.factors))

    def answer(self, slot: int, streams: bool = True, after: float = INTERVAL) -> None:
        """Of a prompt of any length, of which some is cached."""
        prompt = float(self.rng.integers(50, 20_000))
        tokens = max(prompt * self.rng.random(), 1.0)
        pairs = tokens * (prompt - tokens + tokens / 2.0)
        output = 0.0 if streams else float(self.rng.integers(1, 500))
        took = self.factors[slot] * float(np.dot(self.true, (1.0, tokens, pairs, output)))
        took *= float(np.exp(self.rng.normal(0.0, self.noise)))
        self.now += after
        self.speed.learn(slot, tokens, pairs, took, self.now, output)

    def answers(self, count: int, streams: Callable[[int], bool] = lambda number: True) -> None:
        """From all in turn."""
        for number in range(count):
            self.answer(number % len(self.factors), streams(number))

    def factor(self, slot: int) -> float:
        return float(self.speed.factors(np.array([slot]), self.now)[0])


def of_ten_thousand(speed: PrefillSpeed) -> float:
    """Seconds that an endpoint whose factor is 1 takes for so many tokens, without their pairs."""
    return float(speed.coefficients @ (1.0, 10_000.0, 0.0, 0.0))


def test_before_any_answer() -> None:
    speed = PrefillSpeed()
    speed.make_room(2)
    assert of_ten_thousand(speed) == pytest.approx(1.02)
    assert speed.expected(1, 10_000.0, 5e7, now=5.0) == pytest.approx(1.02)
    assert speed.factors(np.array([0, 1]), 5.0).tolist() == [1.0, 1.0]
    assert repr(speed) == "<PrefillSpeed 0.02 s + 0.0001 s a token + 0 s a pair>"


def test_what_is_foreseen_of_a_prompt_at_each_endpoint() -> None:
    pool = Pool((0.05, 3e-5, 2e-9, 0.012), factors=(1.0, 3.0, 1.0))
    pool.answers(90)
    tokens, cached = np.array([500.0, 8000.0]), np.array([7500.0, 0.0])
    told = pool.speed.seconds(np.array([0, 1]), tokens, cached, pool.now)
    pairs = [500.0 * (7500.0 + 250.0), 8000.0 * 4000.0]
    by_one = [pool.speed.expected(slot, tokens[slot], pairs[slot], pool.now) for slot in (0, 1)]
    assert told == pytest.approx(np.array(by_one))
    assert pairs == [pairs_of(500.0, 7500.0), pairs_of(8000.0, 0.0)]


class TestCoefficients:
    TRUE = (0.05, 3e-5, 2e-9, 0.012)

    def test_without_noise_they_are_found(self) -> None:
        pool = Pool(self.TRUE)
        pool.answers(2000, lambda number: number % 2 == 0)
        assert pool.speed.coefficients == pytest.approx(np.array(self.TRUE), rel=0.01)

    @pytest.mark.parametrize(
        ("streams", "known"),
        [(lambda n: True, 3), (lambda n: n % 2 == 0, 4)],
        ids=["streamed", "streamed and not"],
    )
    def test_with_noise_times_are_foreseen(self, streams: Callable[[int], bool], known: int) -> None:
        """A third of every time is chance; times are foreseen within a seventh all the same."""
        pool = Pool(self.TRUE, noise=0.3)
        pool.answers(1500, streams)
        bias = float(np.exp(0.3**2 / 2))  # the mean of that noise
        rows = np.array([(1, 100, 5e3, 0), (1, 2000, 2e6, 0), (1, 15_000, 1e8, 0), (1, 500, 1e5, 300)], float)
        rows = rows[:known]
        assert rows @ pool.speed.coefficients == pytest.approx(bias * (rows @ np.array(self.TRUE)), rel=0.15)

    def test_answers_that_come_as_a_whole_tell_the_times_of_outputs(self) -> None:
        pool = Pool(self.TRUE, noise=0.1)
        pool.answers(1000, lambda number: False)
        *_, per_output = pool.speed.coefficients.tolist()
        assert per_output == pytest.approx(0.012, rel=0.05)

    @pytest.mark.parametrize("servers", [1, 4])
    @pytest.mark.parametrize("times", [0.1, 10.0])
    def test_what_is_believed_first_is_outweighed_by_few_answers(self, servers: int, times: float) -> None:
        """A pool ten times as slow, or as fast: one that never answered is taken to be like the others."""
        pool = Pool((0.02 * times, 1e-4 * times, 0.0, 0.02), factors=(1.0,) * servers)
        pool.speed.make_room(servers + 1)
        pool.answers(256)
        assert pool.speed.expected(0, 10_000.0, 0.0, pool.now) == pytest.approx(1.02 * times, rel=0.15)
        assert pool.speed.expected(servers, 10_000.0, 0.0, pool.now) == pytest.approx(1.02 * times, rel=0.3)

    def test_noise_does_not_add_up(self) -> None:
        """The factors do not take the pool's speed over, however long it goes on."""
        pool = Pool((0.02, 1e-4, 0.0, 0.02), factors=(1.0, 1.0), noise=0.5)
        pool.answers(3000)
        assert of_ten_thousand(pool.speed) == pytest.approx(1.02 * float(np.exp(0.5**2 / 2)), rel=0.25)

    def test_the_pool_is_followed_when_it_changes(self) -> None:
        pool = Pool((0.05, 1e-4, 0.0, 0.02))
        pool.answers(500)
        pool.true = (0.05, 3e-4, 0.0, 0.02)
        pool.answers(1000)
        assert of_ten_thousand(pool.speed) == pytest.approx(3.05, rel=0.05)

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.floats(1.0, 1e5),
                st.floats(0.0, 1e5),
                st.floats(0.0, 600.0),
                st.sampled_from([0.0, 1.0, 300.0]),
            ),
            min_size=1,
            max_size=40,
        )
    )
    def test_whatever_comes_none_is_negative_and_times_are_numbers(
        self, answers: list[tuple[float, float, float, float]]
    ) -> None:
        speed = PrefillSpeed()
        speed.make_room(2)
        for number, (tokens, cached, took, output) in enumerate(answers):
            speed.learn(0, tokens, tokens * (cached + tokens / 2.0), took, float(number), output)
        assert (speed.coefficients >= 0.0).all()
        factors: Floats = speed.factors(np.array([0, 1]), float(len(answers)))
        assert np.isfinite(factors).all()
        assert (factors > 0.0).all()
        assert speed.expected(0, 1.0, 0.5, float(len(answers))) > 0.0


class TestFactors:
    TRUE = (0.02, 1e-4, 0.0, 0.02)

    def test_a_slow_server_among_fast_ones_is_told_apart_after_a_few_answers(self) -> None:
        pool = Pool(self.TRUE, factors=(1.0, 1.0, 1.0, 3.0), noise=0.1)
        pool.answers(4 * 4)
        assert pool.factor(3) > 1.4 * max(pool.factor(slot) for slot in range(3))
        pool.answers(4 * 36)
        ratios = [pool.factor(slot) / pool.factor(0) for slot in range(4)]
        assert ratios == pytest.approx([1.0, 1.0, 1.0, 3.0], rel=0.2)

    def test_one_that_has_not_answered_is_taken_to_be_like_the_mean(self) -> None:
        pool = Pool(self.TRUE, factors=(1.0, 1.0, 1.0, 10.0))
        pool.speed.make_room(5)
        pool.answers(400)
        assert pool.speed.expected(4, 10_000.0, 0.0, pool.now) == pytest.approx(1.02 * 13 / 4, rel=0.25)

    def test_by_hand(self) -> None:
        """After eight answers each that took as long as expected, one takes three times as long."""
        pool = Pool(self.TRUE, factors=(1.0, 1.0))
        for slot in (0, 1) * 8:
            pool.speed.learn(slot, 10_000.0, 0.0, 1.02, 0.0)
        assert [pool.factor(0), pool.factor(1)] == pytest.approx([1.0, 1.0])
        pool.speed.learn(1, 10_000.0, 0.0, 3.06, 0.0)
        before = 1.02 * sum(0.98**age for age in range(1, 9))
        took, expected, doubt = before + 3.06, before + 1.02, 4 * 1.02
        assert pool.factor(1) == pytest.approx((took + doubt) / (expected + doubt))
        assert pool.factor(0) == pytest.approx(1.0)

    def test_they_fade_with_time(self) -> None:
        pool = Pool(self.TRUE, factors=(1.0, 1.0, 1.0, 3.0))
        pool.answers(4 * 30)
        at_once = pool.factor(3)
        told = []
        for _ in range(4):
            pool.now += 120.0
            told.append(pool.factor(3))
        assert at_once > told[0] > told[1] > told[2] > told[3] > 1.0
        pool.now += 3600.0
        assert pool.factor(3) == pytest.approx(1.0)

    def test_a_server_that_has_recovered_is_believed(self) -> None:
        pool = Pool(self.TRUE, factors=(1.0, 1.0, 1.0, 3.0))
        pool.answers(4 * 30)
        pool.factors = (1.0, 1.0, 1.0, 1.0)
        pool.answers(4 * 50)
        assert pool.factor(3) / pool.factor(0) == pytest.approx(1.0, rel=0.15)

    def test_an_endpoint_that_left_is_forgotten(self) -> None:
        pool = Pool(self.TRUE, factors=(1.0, 3.0))
        pool.answers(60)
        kept = pool.factor(0)
        pool.speed.left(1)
        assert (pool.factor(0), pool.factor(1)) == (kept, 1.0)

    def test_one_that_left_before_there_was_room_for_it(self) -> None:
        speed = PrefillSpeed()
        speed.left(3)
        speed.make_room(4)
        assert speed.factors(np.arange(4), 1.0).tolist() == [1.0] * 4

    def test_there_is_room_for_more(self) -> None:
        pool = Pool(self.TRUE, factors=(1.0, 3.0))
        pool.answers(60)
        kept = [pool.factor(0), pool.factor(1)]
        pool.speed.make_room(40)
        pool.speed.make_room(2)
        assert [pool.factor(slot) for slot in (0, 1, 39)] == [*kept, 1.0]
