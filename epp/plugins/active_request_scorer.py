"""active-request-scorer: the endpoint with the fewest of our own requests in flight scores best.

The count changes with each pick, where scraped gauges lag behind by an interval, so it spreads a burst
between two scrapes. The formula is a ratio to the busiest candidate and not min to max, so that 101 requests
beside 100 are hardly a difference and 1 beside 0 is a large one.
"""

from __future__ import annotations

import numpy as np

from epp.datastore.endpoints import Candidates, Floats
from epp.types import InferenceRequest


class ActiveRequestScorer:
    """Scores by requests placed and not yet ended."""

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """1 - in_flight / (the most in flight anywhere); 1 for all when nothing is in flight."""
        in_flight = endpoints.in_flight
        most = int(np.maximum.reduce(in_flight, initial=0))
        return 1.0 - in_flight / most if most else np.ones(len(in_flight))
