"""kv-cache-utilization-scorer: the emptiest KV cache scores best (the reference's formula)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from epp.datastore.endpoints import Candidates, Floats
from epp.types import InferenceRequest


@dataclass
class KvCacheUtilizationScorer:
    """Prefers the endpoint whose running requests hold the smallest part of its KV cache.

    1 - usage. An endpoint that did not tell its usage counts as full, where the reference takes it for empty.
    """

    load_only: ClassVar[bool] = True

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """1 - usage; unknown counts as full."""
        return np.fmax(1.0 - endpoints.kv_usage, 0.0)  # of NaN and 0 fmax takes 0
