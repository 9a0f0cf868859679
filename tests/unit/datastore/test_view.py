"""The datastore as outsiders see it: JSON-ready endpoints, the pool's means, queues."""

from __future__ import annotations

import json
import math

import pytest

from epp.datastore.view import PoolMeans, describe_endpoints, endpoint_queues, pool_means
from epp.types import LoadSample
from tests.pools import INTERVAL, NOW, endpoint, load, snapshot, spec, store_of

STALENESS = 2.0


def test_an_endpoint_of_which_everything_is_known() -> None:
    store = store_of(load(3, 0.25, "told", running=7, block_size=16, num_blocks=100, max_lora=4))
    store.models_listed("pod-0", frozenset({"base", "alias"}), frozenset({"lora", "idle"}))
    store.reserve(endpoint(store, 0), 50, "lora")
    [described] = describe_endpoints(store, NOW + 1, STALENESS)
    assert json.loads(json.dumps(described, allow_nan=False)) == {
        "name": "pod-0",
        "address": "192.168.1.1:8000",
        "engine": "vllm",
        "labels": {"zone": "a"},
        "ready": True,
        "fresh": True,
        "load_age": 1.0,
        "more_load_in": pytest.approx(INTERVAL - 1),
        "waiting": 3,
        "running": 7,
        "kv_usage": 0.25,
        "cache_tokens": 1600,
        "max_lora": 4,
        "in_flight": 1,
        "in_flight_tokens": 50,
        "picks": 1,
        "models": ["alias", "base"],
        "adapters": {"listed": ["idle", "lora"], "at_hand": ["lora", "told"], "in_flight": {"lora": 1}},
    }


def test_what_is_not_known_is_none_and_never_zero() -> None:
    [described] = describe_endpoints(store_of(None), NOW, STALENESS)
    assert not described["fresh"]
    unknown = ("load_age", "more_load_in", "waiting", "running", "kv_usage", "cache_tokens", "max_lora")
    assert [described[name] for name in unknown] == [None] * len(unknown)
    assert described["adapters"] == {"listed": None, "at_hand": [], "in_flight": {}}
    json.dumps(described, allow_nan=False)


def test_endpoints_come_by_name_also_those_that_are_not_ready() -> None:
    store = store_of()
    store.apply(snapshot(spec(2), spec(0, ready=False), spec(1)))
    described = describe_endpoints(store, NOW, STALENESS)
    assert [(one["name"], one["ready"]) for one in described] == [
        ("pod-0", False),
        ("pod-1", True),
        ("pod-2", True),
    ]


@pytest.mark.parametrize(
    ("loads", "means"),
    [
        ([load(3, 0.2, running=1), load(1, 0.4, running=2)], (2, 2.0, 1.5, 0.3)),
        ([load(3, 0.2, running=1), None], (1, 3.0, 1.0, 0.2)),
        ([load(3), load(kv=0.5)], (2, 3.0, math.nan, 0.5)),
        ([None], (0, math.nan, math.nan, math.nan)),
        ([], (0, math.nan, math.nan, math.nan)),
    ],
)
def test_means_of_what_is_known(
    loads: list[LoadSample | None], means: tuple[int, float, float, float]
) -> None:
    found = pool_means(store_of(*loads), NOW, STALENESS)
    assert (found.fresh, found.waiting, found.running, found.kv_usage) == pytest.approx(means, nan_ok=True)


def test_means_leave_stale_endpoints_out() -> None:
    store = store_of(load(3, 0.2, running=1), load(1, 0.4, running=2))
    store.scraped("pod-1", load(1, 0.4), INTERVAL, NOW + 10)
    assert pool_means(store, NOW + 10, STALENESS) == PoolMeans(1, 1.0, 2.0, 0.4)


def test_queues_of_endpoints_that_told_one() -> None:
    store = store_of(load(3, 0.2), None, load(kv=0.1), load(0))
    assert list(endpoint_queues(store)) == [("pod-0", 3.0), ("pod-3", 0.0)]
