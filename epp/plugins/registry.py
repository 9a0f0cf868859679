"""The plugin types that a configuration may name, and how each is made from its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from epp.config.durations import Seconds, parse_duration
from epp.plugins.active_request_scorer import ActiveRequestScorer
from epp.plugins.kv_cache_utilization_scorer import KvCacheUtilizationScorer
from epp.plugins.lora_affinity_scorer import LoraAffinityScorer
from epp.plugins.max_score_picker import MaxScorePicker
from epp.plugins.prefix_cache_scorer import PrefixCacheScorer
from epp.plugins.queue_scorer import QueueScorer
from epp.plugins.running_requests_size_scorer import RunningRequestsSizeScorer
from epp.plugins.utilization_detector import (
    KV_CACHE_UTIL_THRESHOLD,
    METRICS_STALENESS_THRESHOLD,
    QUEUE_DEPTH_THRESHOLD,
    UtilizationDetector,
)

Factory = Callable[[Mapping[str, Any]], object]


def _max_score_picker(parameters: Mapping[str, Any]) -> MaxScorePicker:
    wanted = parameters.get("maxNumOfEndpoints", 1)
    if type(wanted) is not int:
        raise ValueError("maxNumOfEndpoints: has to be an integer")
    return MaxScorePicker(wanted)  # 0 and less mean 1, as in the reference


def _utilization_detector(parameters: Mapping[str, Any]) -> UtilizationDetector:
    return UtilizationDetector(
        _number(parameters, "queueDepthThreshold", QUEUE_DEPTH_THRESHOLD),
        _number(parameters, "kvCacheUtilThreshold", KV_CACHE_UTIL_THRESHOLD, at_most=1.0),
        Seconds(_duration(parameters, "metricsStalenessThreshold", METRICS_STALENESS_THRESHOLD)),
    )


# Parameters that are not named here are passed over, as the reference's factories do.
FACTORIES: Mapping[str, Factory] = {
    "queue-scorer": lambda _: QueueScorer(),
    "kv-cache-utilization-scorer": lambda _: KvCacheUtilizationScorer(),
    "running-requests-size-scorer": lambda _: RunningRequestsSizeScorer(),
    "prefix-cache-scorer": lambda _: PrefixCacheScorer(),
    "lora-affinity-scorer": lambda _: LoraAffinityScorer(),
    "active-request-scorer": lambda _: ActiveRequestScorer(),
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


def _number(parameters: Mapping[str, Any], name: str, default: float, *, at_most: float = math.inf) -> float:
    """A positive, finite number. Raises ValueError for anything else."""
    value = parameters.get(name, default)
    if type(value) not in (int, float) or not 0 < value <= at_most or not math.isfinite(value):
        raise ValueError(
            f"{name}: has to be a positive number" + ("" if at_most == math.inf else f" up to {at_most:g}")
        )
    return float(value)


def _duration(parameters: Mapping[str, Any], name: str, default: float) -> float:
    """Seconds of a Go duration. Raises ValueError for anything else."""
    text = parameters.get(name)
    if text is None:
        return default
    seconds = 0.0
    if isinstance(text, str):
        with suppress(ValueError):
            seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(f'{name}: has to be a positive duration, as in "200ms"')
    return seconds
