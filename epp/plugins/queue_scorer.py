"""queue-scorer: the shortest engine queue scores best (the reference's formula, min to max)."""

from __future__ import annotations

from typing import ClassVar

from epp.datastore.endpoints import Candidates, Floats
from epp.plugins.arrays import least_is_best
from epp.types import InferenceRequest


class QueueScorer:
    """Scores by requests waiting in the engine."""

    load_only: ClassVar[bool] = True

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """1 for the shortest queue, 0 for the longest and for unknown ones."""
        return least_is_best(endpoints.waiting)
