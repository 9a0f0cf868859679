"""fresh-endpoints-filter: endpoints that stopped telling their load get nothing while others tell theirs.

An endpoint whose metrics are old may be dead, cut off or overloaded; its last values say nothing, so it is
not compared by them. When no candidate is fresh (servers without metrics, or the picker itself is cut off)
all stay: a guess serves more requests than a refusal.
"""

from __future__ import annotations

import numpy as np

from epp.datastore.endpoints import Candidates, Mask
from epp.types import InferenceRequest


class FreshEndpointsFilter:
    """Keeps candidates that told their load within `threshold` seconds of when it could be expected."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for the fresh ones; None, which keeps all, if all are fresh or none is."""
        if endpoints.all_fresh(self._threshold):
            return None
        fresh = endpoints.fresh(self._threshold)
        return fresh if np.count_nonzero(fresh) else None
