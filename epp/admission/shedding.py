"""Shedding: a request of negative priority is refused while the pool is saturated."""

from __future__ import annotations

from epp.datastore.endpoints import Candidates
from epp.errors import ShedError
from epp.plugin import SaturationDetector
from epp.types import InferenceRequest


class Admission:
    """Decides whether a request may go on to the scheduler."""

    def __init__(self, detector: SaturationDetector) -> None:
        self._detector = detector

    def admit(self, request: InferenceRequest, candidates: Candidates) -> None:
        """Raises ShedError if the request has to give way to more important ones."""
        if request.priority < 0 and self._detector.saturation(candidates) >= 1.0:
            raise ShedError("system saturated, sheddable request dropped")
