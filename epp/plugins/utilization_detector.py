"""utilization-detector: a pool is saturated when its mean queue or KV cache use reaches its threshold."""

from __future__ import annotations

import numpy as np

from epp.datastore.endpoints import Candidates

# The reference's defaults (its parameters of the same names).
QUEUE_DEPTH_THRESHOLD = 5
KV_CACHE_UTIL_THRESHOLD = 0.8
METRICS_STALENESS_THRESHOLD = 0.2  # seconds


class UtilizationDetector:
    """Saturation is the mean over endpoints of max(queue / threshold, KV use / threshold).

    Endpoints whose load is unknown or stale count as saturated (1). `staleness` is in seconds on top of the
    interval in which the endpoint's load can be expected, so that a slowly polled idle pool is not stale.
    """

    def __init__(
        self,
        queue_depth: float = QUEUE_DEPTH_THRESHOLD,
        kv_cache_util: float = KV_CACHE_UTIL_THRESHOLD,
        staleness: float = METRICS_STALENESS_THRESHOLD,
    ) -> None:
        self._queue_depth = queue_depth
        self._kv_cache_util = kv_cache_util
        self._staleness = staleness

    def saturation(self, endpoints: Candidates) -> float:
        """0 is idle, 1 and more is saturated; a pool without endpoints is saturated."""
        if not len(endpoints):
            return 1.0
        load = np.fmax(endpoints.waiting / self._queue_depth, endpoints.kv_usage / self._kv_cache_util)
        known = endpoints.fresh(self._staleness) & ~np.isnan(load)
        return float(np.where(known, load, 1.0).mean())
