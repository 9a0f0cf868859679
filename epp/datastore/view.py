"""The datastore as JSON-ready values, for those who look at it from outside."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from epp.datastore.endpoints import Endpoint, Floats
from epp.datastore.store import Datastore


def describe_endpoints(store: Datastore, now: float, staleness: float) -> list[dict[str, Any]]:
    """One dict per endpoint, by name; None where something is not known. Ages in seconds."""
    return [
        _describe(store, endpoint, now, staleness)
        for endpoint in sorted(store.endpoints, key=lambda endpoint: endpoint.spec.name)
    ]


@dataclass(frozen=True, slots=True)
class PoolMeans:
    """How many endpoints have told their load lately, and their means; NaN where none says."""

    fresh: int
    waiting: float
    running: float
    kv_usage: float


def pool_means(store: Datastore, now: float, staleness: float) -> PoolMeans:
    """The load of the pool; stale endpoints are left out. `staleness` in seconds."""
    columns = store.endpoints
    fresh = columns.slots[columns.fresh(columns.slots, now, staleness)]
    return PoolMeans(
        len(fresh),
        _mean(columns.waiting[fresh]),
        _mean(columns.running[fresh]),
        _mean(columns.kv_usage[fresh]),
    )


def endpoint_queues(store: Datastore) -> Iterator[tuple[str, float]]:
    """Name and queue of every endpoint that has ever told it."""
    for endpoint in store.endpoints:
        waiting = float(store.endpoints.waiting[endpoint.slot])
        if not math.isnan(waiting):
            yield endpoint.spec.name, waiting


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _describe(store: Datastore, endpoint: Endpoint, now: float, staleness: float) -> dict[str, Any]:
    columns, slot, spec = store.endpoints, endpoint.slot, endpoint.spec
    shelf = store.adapters.shelves[slot]
    return {
        "name": spec.name,
        "address": spec.address,
        "engine": spec.engine,
        "labels": dict(spec.labels),
        "ready": spec.ready,
        "fresh": bool(columns.fresh(np.array([slot]), now, staleness)[0]),
        "load_age": _known(now - columns.load_at[slot]),
        "more_load_in": _known(columns.load_due_at[slot] - now),
        "waiting": _known(columns.waiting[slot]),
        "running": _known(columns.running[slot]),
        "kv_usage": _known(columns.kv_usage[slot]),
        "cache_tokens": _known(columns.cache_tokens[slot]),
        "max_lora": _known(columns.max_lora[slot]),
        "in_flight": int(columns.in_flight[slot]),
        "in_flight_tokens": int(columns.in_flight_tokens[slot]),
        "picks": int(columns.picks[slot]),
        "models": sorted(endpoint.base_models),
        "adapters": {
            "listed": None if shelf.listed is None else sorted(shelf.listed),
            "at_hand": sorted(shelf.busy().union(shelf.recent)),
            "in_flight": dict(shelf.in_flight),
        },
    }


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
