"""The plugin types that a configuration may name, and how each is made from its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from epp.datastore.store import Datastore
from epp.plugin import UNWATCHED, Watcher
from epp.plugins.active_request_scorer import ActiveRequestScorer
from epp.plugins.kv_cache_utilization_scorer import KvCacheUtilizationScorer
from epp.plugins.lora_affinity_scorer import LoraAffinityScorer
from epp.plugins.max_score_picker import MaxScorePicker
from epp.plugins.prefix_cache_scorer import PrefixCacheScorer
from epp.plugins.queue_scorer import QueueScorer
from epp.plugins.running_requests_size_scorer import RunningRequestsSizeScorer
from epp.plugins.utilization_detector import (
    KV_CACHE_UTIL_THRESHOLD,
    QUEUE_DEPTH_THRESHOLD,
    UtilizationDetector,
)


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What plugins may be given beside their parameters."""

    store: Datastore
    watcher: Watcher = UNWATCHED


Factory = Callable[[Mapping[str, Any], PluginContext], object]


def _max_score_picker(parameters: Mapping[str, Any], _: PluginContext) -> MaxScorePicker:
    return MaxScorePicker(_number(parameters, "maxNumOfEndpoints", 1, int))


def _utilization_detector(parameters: Mapping[str, Any], _: PluginContext) -> UtilizationDetector:
    return UtilizationDetector(
        _number(parameters, "queueDepthThreshold", QUEUE_DEPTH_THRESHOLD, float),
        _number(parameters, "kvCacheUtilThreshold", KV_CACHE_UTIL_THRESHOLD, float),
    )


# Parameters that are not named here are passed over, as the reference's factories do.
FACTORIES: Mapping[str, Factory] = {
    "queue-scorer": lambda _, context: QueueScorer(),
    "kv-cache-utilization-scorer": lambda _, context: KvCacheUtilizationScorer(),
    "running-requests-size-scorer": lambda _, context: RunningRequestsSizeScorer(),
    "prefix-cache-scorer": lambda _, context: PrefixCacheScorer(context.store, context.watcher),
    "lora-affinity-scorer": lambda _, context: LoraAffinityScorer(context.store.adapters),
    "active-request-scorer": lambda _, context: ActiveRequestScorer(),
    "max-score-picker": _max_score_picker,
    "utilization-detector": _utilization_detector,
}

# Types of the reference whose work the picker always does; a configuration may list them.
ALWAYS_ON = frozenset(
    {
        "single-profile-handler",
        "openai-parser",
        "metrics-data-source",
        "core-metrics-extractor",
        "approx-prefix-cache-producer",
    }
)


def _number(parameters: Mapping[str, Any], name: str, default: float, kind: type[int] | type[float]) -> Any:
    """A positive number of `kind`. Raises ValueError for anything else."""
    value = parameters.get(name, default)
    fits = isinstance(value, int | kind) and not isinstance(value, bool)
    if not fits or not 0 < value < math.inf:
        raise ValueError(f"{name}: has to be a positive {'integer' if kind is int else 'number'}")
    return value
