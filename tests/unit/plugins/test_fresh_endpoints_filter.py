"""fresh-endpoints-filter: who stopped telling gets nothing while others tell."""

from __future__ import annotations

import pytest

from epp.datastore.endpoints import Candidates
from epp.plugins.fresh_endpoints_filter import FreshEndpointsFilter
from tests.pools import INTERVAL, NOW, everyone, load, request, snapshot, spec, store_of

THRESHOLD = 2.0


def staying(candidates: Candidates) -> list[bool]:
    mask = FreshEndpointsFilter(THRESHOLD).filter(request(), candidates)
    return [True] * len(candidates) if mask is None else mask.tolist()


@pytest.mark.parametrize(
    ("ages", "stay"),
    [
        ([0.0, 1.0, 2.0], [True, True, True]),
        ([0.0, 2.1], [True, False]),
        ([0.0, None], [True, False]),  # never told
        ([3.0, 9.0], [True, True]),  # nobody is fresh: a guess is better than a refusal
        ([None, None], [True, True]),
        ([3.0, None], [True, True]),
        ([], []),
    ],
)
def test_who_stays(ages: list[float | None], stay: list[bool]) -> None:
    store = store_of(*[None] * len(ages))
    for number, age in enumerate(ages):
        if age is not None:
            store.scraped(f"pod-{number}", load(0, 0.0), INTERVAL, NOW - age)
    assert staying(everyone(store)) == stay


def test_an_endpoint_of_an_idle_pool_that_is_scraped_slowly_is_fresh() -> None:
    store = store_of(None, None)
    store.scraped("pod-0", load(0, 0.0), 1.0, NOW - 2.9)
    store.scraped("pod-1", load(0, 0.0), 0.05, NOW - 2.9)
    assert staying(everyone(store)) == [True, False]


def test_an_endpoint_that_comes_gets_nothing_before_its_first_page() -> None:
    store = store_of(load(50, 0.9))
    store.apply(snapshot(spec(0), spec(1)))
    candidates = everyone(store)
    assert staying(candidates) == [True, False]
    store.scraped("pod-1", load(0, 0.0), INTERVAL, NOW)
    assert staying(candidates) == [True, True]


def test_a_load_that_is_expected_sooner_is_stale_sooner() -> None:
    store = store_of(None, None)
    for name in ("pod-0", "pod-1"):
        store.scraped(name, load(0, 0.0), 10.0, NOW)
    assert staying(everyone(store)) == [True, True]
    store.scraped("pod-0", load(0, 0.0), 0.05, NOW)
    assert staying(everyone(store, NOW + 3)) == [False, True]
