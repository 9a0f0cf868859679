"""running-requests-size-scorer: the smallest batch scores best (the reference's formula, min to max)."""

from __future__ import annotations

from typing import ClassVar

from epp.datastore.endpoints import Candidates, Floats
from epp.plugins.arrays import least_is_best
from epp.types import InferenceRequest


class RunningRequestsSizeScorer:
    """Scores by requests running in the engine."""

    load_only: ClassVar[bool] = True

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """1 for the smallest batch, 0 for the largest and for unknown ones."""
        return least_is_best(endpoints.running)
