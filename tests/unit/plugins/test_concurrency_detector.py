"""concurrency-detector: what is in flight by what may be, of requests or tokens, over the whole pool."""

from __future__ import annotations

from typing import Literal

import pytest

from epp.datastore.store import Datastore
from epp.plugins.concurrency_detector import ConcurrencyDetector
from tests.pools import endpoint, everyone, request, store_of, who_stays

Mode = Literal["requests", "tokens", "hybrid"]


def in_flight(*requests: tuple[int, ...]) -> Datastore:
    """A pool with an endpoint for each argument: the tokens of its requests in flight."""
    store = store_of(*[None] * len(requests))
    for number, sizes in enumerate(requests):
        for tokens in sizes:
            store.reserve(endpoint(store, number), tokens, "base")
    return store


@pytest.mark.parametrize(
    ("mode", "saturation"),
    [
        ("requests", 4 / (2 * 4)),
        ("tokens", (10 + 20 + 30 + 900) / (2 * 1000)),
        ("hybrid", 0.5),  # of 0.5 and 0.48
    ],
)
def test_saturation(mode: Mode, saturation: float) -> None:
    detector = ConcurrencyDetector(mode, max_concurrency=4, max_token_concurrency=1000)
    store = in_flight((10, 20, 30), (900,))
    assert detector.saturation(everyone(store)) == pytest.approx(saturation)


def test_a_full_pool_is_saturated_and_so_is_none() -> None:
    assert ConcurrencyDetector(max_concurrency=1).saturation(everyone(in_flight((5,), (5,)))) == 1
    assert ConcurrencyDetector(max_concurrency=1).saturation(everyone(in_flight((5, 5), ()))) == 1
    assert ConcurrencyDetector().saturation(everyone(in_flight())) == 1
    assert ConcurrencyDetector().saturation(everyone(in_flight((), ()))) == 0


def test_what_is_given_back_is_free_again() -> None:
    store = store_of(None)
    held = store.reserve(endpoint(store, 0), 500, "base")
    detector = ConcurrencyDetector("hybrid", max_concurrency=2, max_token_concurrency=1000)
    assert detector.saturation(everyone(store)) == 0.5
    held.release()
    assert detector.saturation(everyone(store)) == 0


@pytest.mark.parametrize(
    ("mode", "headroom", "stay"),
    [
        ("requests", 0.0, ["pod-1", "pod-2"]),
        ("requests", 0.5, ["pod-0", "pod-1", "pod-2"]),  # 2 is below 3
        ("tokens", 0.0, ["pod-0", "pod-2"]),
        ("tokens", 1.0, ["pod-0", "pod-1", "pod-2"]),
        ("hybrid", 0.0, ["pod-2"]),
    ],
)
def test_as_a_filter(mode: Mode, headroom: float, stay: list[str]) -> None:
    candidates = everyone(in_flight((10, 10), (1000,), ()))
    detector = ConcurrencyDetector(mode, max_concurrency=2, max_token_concurrency=1000, headroom=headroom)
    assert who_stays(detector.filter(request(), candidates), candidates) == stay


def test_when_all_are_full_all_stay() -> None:
    candidates = everyone(in_flight((1,), (1,)))
    assert ConcurrencyDetector(max_concurrency=1).filter(request(), candidates) is None
    nobody = everyone(in_flight())
    assert ConcurrencyDetector().filter(request(), nobody) is None
