"""weighted-random-picker: chances in proportion to the totals."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epp.plugins.weighted_random_picker import WeightedRandomPicker
from tests.pools import everyone, store_of

POOL = everyone(store_of(None, None, None, None))


def counts(totals: list[float], draws: int = 4000) -> Counter[int]:
    rng, picker = random.Random(7), WeightedRandomPicker()
    return Counter(picker.pick(np.array(totals), POOL, rng)[0] for _ in range(draws))


def test_a_total_that_is_three_times_as_large_is_picked_three_times_as_often() -> None:
    found = counts([3.0, 1.0, 0.0, -2.0])
    assert found.keys() == {0, 1}
    # 4 standard deviations: sqrt(4000 * 3/4 * 1/4) is 27.
    assert abs(found[0] - 3000) < 110


def test_small_totals_too() -> None:
    found = counts([3e-9, 1e-9, 0.0, 0.0])
    assert abs(found[0] - 3000) < 110


def test_where_nobody_has_a_total_all_have_the_same_chance() -> None:
    found = counts([0.0, 0.0, -1.0, 0.0])
    assert found.keys() == {0, 1, 2, 3}
    assert all(abs(count - 1000) < 110 for count in found.values())


def test_fallbacks_are_drawn_like_the_first_and_totals_of_0_come_last() -> None:
    rng, picker = random.Random(7), WeightedRandomPicker(4)
    orders = [list(picker.pick(np.array([1.0, 0.0, 9.0, 0.0]), POOL, rng)) for _ in range(1000)]
    assert {tuple(order[2:]) for order in orders} == {(1, 3)}
    first = Counter(order[0] for order in orders)
    assert abs(first[2] - 900) < 40  # 4 standard deviations: sqrt(1000 * 0.9 * 0.1) is 9.5


@given(st.lists(st.floats(-1, 10), min_size=4, max_size=4), st.integers(0, 9), st.integers())
def test_distinct_and_as_many_as_asked(totals: list[float], picked: int, seed: int) -> None:
    found = WeightedRandomPicker(picked).pick(np.array(totals), POOL, random.Random(seed))
    assert len(found) == len(set(found)) == min(max(1, picked), 4)
