"""Numbers that an endpoint has, by the names that configurations use for them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from epp.datastore.endpoints import Candidates, Floats
from epp.plugins.per_candidates import PerCandidates

# Numbers of the load. The first four are called as in llm-d's utilization-filter.
COLUMNS: dict[str, Callable[[Candidates], Floats]] = {
    "waiting-queue": lambda endpoints: endpoints.waiting,
    "running-requests": lambda endpoints: endpoints.running,
    "kv-cache-utilization": lambda endpoints: endpoints.kv_usage,
    "active-requests": lambda endpoints: endpoints.in_flight.astype(np.float64),
    "active-tokens": lambda endpoints: endpoints.in_flight_tokens.astype(np.float64),
    "max-lora": lambda endpoints: endpoints.max_lora,
}

# vLLM's names for three of them, by which llm-d's examples call them.
_ENGINE_NAMES = {
    "num_requests_waiting": "waiting-queue",
    "num_requests_running": "running-requests",
    "kv_cache_usage_perc": "kv-cache-utilization",
}


def attribute(name: str) -> Callable[[Candidates], Floats]:
    """What gives the attribute of each candidate, NaN where it has none: a column, or a label's number."""
    return COLUMNS.get(_ENGINE_NAMES.get(name, name)) or PerCandidates(
        lambda endpoints: _label(name, endpoints)
    )


def _label(key: str, endpoints: Candidates) -> Floats:
    return np.array([_number(label) for label in endpoints.labels(key)], np.float64)


def _number(label: str | None) -> float:
    try:
        value = float(label or "")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
