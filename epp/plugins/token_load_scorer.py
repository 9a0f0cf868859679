"""token-load-scorer: the endpoint with the fewest tokens in flight scores best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from epp.config.constraints import Doc, Range
from epp.datastore.endpoints import Candidates, Floats
from epp.types import InferenceRequest

# 128 requests of 32,768 tokens: the reference's default.
_QUEUE_THRESHOLD_TOKENS = 128 * 32_768


@dataclass
class TokenLoadScorer:
    """Prefers the endpoint with the fewest tokens in flight.

    1 - min(tokens / `queueThresholdTokens`, 1). Tokens are those of the requests that this picker placed and
    that have not ended, as inflight-load-producer estimates them.
    """

    queue_threshold_tokens: Annotated[
        int, Range(1, 1 << 53), Doc("tokens in flight from which on the score is 0")
    ] = _QUEUE_THRESHOLD_TOKENS

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """1 for an endpoint with nothing in flight."""
        # Where there are more tokens than that the profile takes the score, below 0, for 0.
        return 1.0 - endpoints.in_flight_tokens / self.queue_threshold_tokens
