"""running-requests-size-scorer: the smallest batch scores best (the reference's formula, min to max)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epp.datastore.endpoints import Candidates, Floats
from epp.plugins.arrays import least_is_best
from epp.types import InferenceRequest


@dataclass
class RunningRequestsSizeScorer:
    """Prefers the endpoint with the fewest requests running in its engine.

    (max - running) / (max - min) over the candidates; 1 for all when they are equal. An endpoint that did
    not tell its batch scores 0 beside those that did, where the reference takes it for idle.
    """

    load_only: ClassVar[bool] = True

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """1 for the smallest batch, 0 for the largest and for unknown ones."""
        return least_is_best(endpoints.running)
