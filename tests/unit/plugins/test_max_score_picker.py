"""max-score-picker: best total first, among equals the one not used for longest."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.datastore.store import Datastore
from epp.plugins.max_score_picker import MaxScorePicker
from tests.pools import endpoint, everyone, store_of

RNG = random.Random(0)


def pick(store: Datastore, totals: list[float], endpoints: int = 1) -> list[int]:
    return list(MaxScorePicker(endpoints).pick(np.array(totals), everyone(store), RNG))


def used(*numbers: int, endpoints: int = 3) -> Datastore:
    """A pool whose endpoints were used in this order."""
    store = store_of(*[None] * endpoints)
    for number in numbers:
        store.reserve(endpoint(store, number), 1, "base").release()
    return store


@pytest.mark.parametrize(
    ("totals", "best"), [([1, 2, 3], [2]), ([3, 2, 1], [0]), ([0, 0.5, 0.25], [1]), ([0, 0, 0], [0])]
)
def test_the_best_total_wins(totals: list[float], best: list[int]) -> None:
    assert pick(used(), totals) == best


@pytest.mark.parametrize(
    ("order", "picked"),
    [([], 0), ([0], 1), ([0, 1], 2), ([0, 1, 2], 0), ([2, 1, 0], 2), ([0, 1, 2, 0], 1)],
)
def test_among_equals_the_one_not_used_for_longest(order: list[int], picked: int) -> None:
    assert pick(used(*order), [1, 1, 1]) == [picked]
    assert pick(used(*order), [1, 1, 1], endpoints=3)[0] == picked


def test_a_loser_is_not_picked_for_being_unused() -> None:
    assert pick(used(0, 1), [1, 1, 0.9]) == [0]


def test_sums_that_differ_in_their_last_bits_are_equal() -> None:
    assert 0.1 + 0.2 > 0.3
    assert pick(used(0), [0.1 + 0.2, 0.3, 0]) == [1]
    assert pick(used(0), [0.1 + 0.2, 0.3, 0], endpoints=2) == [1, 0]


def test_fallbacks_in_order_of_their_totals() -> None:
    assert pick(used(), [0.5, 0.9, 0.7], endpoints=3) == [1, 2, 0]
    assert pick(used(), [0.5, 0.9, 0.7], endpoints=2) == [1, 2]
    assert pick(used(), [0.5, 0.9, 0.7], endpoints=9) == [1, 2, 0]


def test_fallbacks_that_are_equal_in_order_of_their_use() -> None:
    assert pick(used(2, 0, 1), [0.5, 0.9, 0.5], endpoints=3) == [1, 2, 0]


@pytest.mark.parametrize("endpoints", [0, -1])
def test_at_least_one_is_picked(endpoints: int) -> None:
    assert pick(used(), [1, 2, 3], endpoints) == [2]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.permutations(range(8)))
def test_the_first_is_the_same_however_many_are_picked(totals: list[int], order: list[int]) -> None:
    store = used(*[number for number in order if number < len(totals)], endpoints=len(totals))
    quarters = [total / 4 for total in totals]
    several = pick(store, quarters, endpoints=len(totals))
    assert several[:1] == pick(store, quarters)
    assert sorted(several) == list(range(len(totals)))
    assert [quarters[index] for index in several] == sorted(quarters, reverse=True)
