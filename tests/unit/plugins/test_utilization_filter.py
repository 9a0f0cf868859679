"""utilization-filter: those within every limit stay."""

from __future__ import annotations

import pytest

from epp.plugins.utilization_filter import LoadLimit, UtilizationFilter
from tests.pools import endpoint, everyone, load, request, store_of, who_stays

QUEUE, KV = LoadLimit("waiting-queue", 5), LoadLimit("kv-cache-utilization", 0.8)


@pytest.mark.parametrize(
    ("limits", "stay"),
    [
        ((QUEUE,), ["pod-0", "pod-2"]),
        ((KV,), ["pod-0", "pod-1"]),
        ((QUEUE, KV), ["pod-0"]),
        ((LoadLimit("running-requests", 10),), ["pod-0"]),  # the others did not tell theirs
        ((LoadLimit("active-requests", 0),), ["pod-0", "pod-1", "pod-3"]),
        ((LoadLimit("waiting-queue", 1),), []),
    ],
)
def test_who_stays(limits: tuple[LoadLimit, ...], stay: list[str]) -> None:
    store = store_of(load(5, 0.8, running=10), load(6, 0.1), load(4, 0.9), None)
    store.reserve(endpoint(store, 2), 10, "base")
    candidates = everyone(store)
    assert who_stays(UtilizationFilter(limits).filter(request(), candidates), candidates) == stay


def test_when_nobody_is_left_all_may_stay() -> None:
    candidates = everyone(store_of(load(9), load(8)))
    both = ["pod-0", "pod-1"]
    assert who_stays(UtilizationFilter((QUEUE,), True).filter(request(), candidates), candidates) == both


def test_nobody() -> None:
    candidates = everyone(store_of())
    assert who_stays(UtilizationFilter((QUEUE,)).filter(request(), candidates), candidates) == []
