"""active-request-scorer: the endpoint with the fewest of our own requests in flight scores best.

The count changes with each pick, where scraped gauges lag behind by an interval, so it spreads a burst
between two scrapes. The formula is a ratio to the busiest candidate and not min to max, so that 101 requests
beside 100 are hardly a difference and 1 beside 0 is a large one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from epp.config.constraints import Doc, Range
from epp.datastore.endpoints import Candidates, Floats
from epp.types import InferenceRequest


@dataclass
class ActiveRequestScorer:
    """Prefers the endpoint with the fewest requests that this picker placed and that have not ended.

    1 where at most `idleThreshold` requests are in flight, elsewhere
    (max - in flight) / max * `maxBusyScore`, max being the most in flight on any candidate.
    """

    idle_threshold: Annotated[
        int, Range(0, 1 << 31), Doc("requests in flight up to which an endpoint counts as idle")
    ] = 0
    max_busy_score: Annotated[float, Range(0, 1), Doc("the score that the others stay below")] = 1.0

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """1 for idle candidates, 0 for the busiest; 1 for all when all are idle."""
        in_flight = endpoints.in_flight
        most = in_flight.item(in_flight.argmax()) if len(in_flight) else 0
        if most <= self.idle_threshold:
            return 1.0
        scores: Floats = 1.0 - in_flight / most
        if self.idle_threshold or self.max_busy_score < 1.0:
            return np.where(in_flight <= self.idle_threshold, 1.0, scores * self.max_busy_score)
        return scores
