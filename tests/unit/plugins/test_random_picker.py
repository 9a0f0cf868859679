"""random-picker: everyone has the same chance, whatever the totals."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.plugins.random_picker import RandomPicker
from tests.pools import everyone, store_of

POOL = everyone(store_of(None, None, None, None))
TOTALS = np.array([5.0, 0.0, 0.0, -1.0])


@pytest.mark.parametrize("picked", [-1, 0, 1])
def test_one_is_picked_each_as_often(picked: int) -> None:
    rng = random.Random(7)
    counts = Counter(RandomPicker(picked).pick(TOTALS, POOL, rng) for _ in range(4000))
    assert counts.keys() == {(0,), (1,), (2,), (3,)}
    # 4 standard deviations of a binomial distribution: sqrt(4000 * 1/4 * 3/4) is 27.
    assert all(abs(count - 1000) < 110 for count in counts.values())


def test_one_candidate() -> None:
    assert RandomPicker().pick(np.zeros(1), everyone(store_of(None)), random.Random(0)) == (0,)


@given(st.integers(2, 9), st.integers())
def test_several_are_distinct(picked: int, seed: int) -> None:
    found = RandomPicker(picked).pick(TOTALS, POOL, random.Random(seed))
    assert len(found) == min(picked, 4)
    assert len(set(found)) == len(found)
    assert set(found) <= set(range(4))
