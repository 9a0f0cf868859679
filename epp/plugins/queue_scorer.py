"""queue-scorer: the shortest engine queue scores best (the reference's formula, min to max)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epp.datastore.endpoints import Candidates, Floats
from epp.plugins.arrays import least_is_best
from epp.types import InferenceRequest


@dataclass
class QueueScorer:
    """Prefers the endpoint with the fewest requests waiting in its engine.

    (max - waiting) / (max - min) over the candidates; 1 for all when they are equal. An endpoint that did
    not tell its queue scores 0 beside those that did, where the reference takes it for empty.
    """

    load_only: ClassVar[bool] = True

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """1 for the shortest queue, 0 for the longest and for unknown ones."""
        return least_is_best(endpoints.waiting)
