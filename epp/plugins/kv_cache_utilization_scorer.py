"""kv-cache-utilization-scorer: the emptiest KV cache scores best (the reference's formula)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from epp.datastore.endpoints import Candidates, Floats
from epp.types import InferenceRequest


class KvCacheUtilizationScorer:
    """Scores by the part of the KV cache that running requests hold."""

    load_only: ClassVar[bool] = True

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """1 - usage; unknown counts as full."""
        return np.fmax(1.0 - endpoints.kv_usage, 0.0)  # of NaN and 0 fmax takes 0
