"""utilization-detector: how full endpoints are by what they tell of their queue and KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from epp.config.constraints import Doc, Positive, Range
from epp.config.durations import Seconds
from epp.datastore.endpoints import Candidates, Floats, Mask
from epp.plugins.arrays import stays
from epp.types import InferenceRequest

# The reference's defaults (its parameters of the same names).
QUEUE_DEPTH_THRESHOLD = 5
KV_CACHE_UTIL_THRESHOLD = 0.8
METRICS_STALENESS_THRESHOLD = Seconds(0.2)

# More burst than this is no limit.
_MOST_HEADROOM = 1000.0


@dataclass
class UtilizationDetector:
    """Tells by queue and KV cache use how saturated the pool is; as a filter, takes full endpoints out.

    An endpoint's load is max(waiting / `queueDepthThreshold`, KV use / `kvCacheUtilThreshold`), by what it
    told if it told only one of them. Saturation is the mean, with 1 for endpoints whose load is unknown or
    stale. As a filter it keeps those whose load is known, fresh and below 1 + `headroom`; all of them, if
    that leaves none. Staleness is counted from when the next metrics could be expected, so that an idle pool
    that is scraped slowly is not stale, where the reference counts from the last ones.
    """

    queue_depth_threshold: Annotated[float, Positive(), Doc("requests waiting that are too many")] = (
        QUEUE_DEPTH_THRESHOLD
    )
    kv_cache_util_threshold: Annotated[
        float, Positive(), Range(0, 1), Doc("part of the KV cache in use that is too much")
    ] = KV_CACHE_UTIL_THRESHOLD
    metrics_staleness_threshold: Annotated[
        Seconds, Positive(), Doc("how long after its metrics are due an endpoint counts as saturated")
    ] = METRICS_STALENESS_THRESHOLD
    headroom: Annotated[
        float, Range(0, _MOST_HEADROOM), Doc("the filter's limits are this part above the thresholds")
    ] = 0.0

    def saturation(self, endpoints: Candidates) -> float:
        """0 is idle, 1 and more is saturated; a pool without endpoints is saturated."""
        if not len(endpoints):
            return 1.0
        load = self._load(endpoints)
        load[np.isnan(load)] = 1.0
        return float(load.mean())

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those within the limits; None, which keeps all, if all are or none is."""
        return stays(self._load(endpoints) < 1.0 + self.headroom, or_all=True)  # false for NaN

    def _load(self, endpoints: Candidates) -> Floats:
        """1 at the threshold; NaN where it is unknown or stale."""
        queue = endpoints.waiting / self.queue_depth_threshold
        load: Floats = np.fmax(queue, endpoints.kv_usage / self.kv_cache_util_threshold)
        load[~endpoints.fresh(self.metrics_staleness_threshold)] = np.nan
        return load
