"""concurrency-detector: how full endpoints are by what this picker sent them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from epp.config.constraints import Doc, Range
from epp.datastore.endpoints import Candidates, Floats, Mask
from epp.plugins.arrays import stays
from epp.types import InferenceRequest

_MOST = 1 << 53  # counts are exact as floats up to here
_MOST_HEADROOM = 1000.0  # more burst than this is no limit


@dataclass
class ConcurrencyDetector:
    """Tells by requests or tokens in flight how saturated the pool is; as a filter, takes full endpoints out.

    Saturation is what is in flight on all endpoints by what they may have together. As a filter it keeps
    endpoints that have less than their limit times (1 + `headroom`); all of them, if that leaves none. In
    `hybrid` mode the tighter of both limits counts. Counts are those of this picker, of the moment; in the
    reference's v1.5 they never reach the detector, and its saturation is always 0.
    """

    concurrency_mode: Annotated[
        Literal["requests", "tokens", "hybrid"], Doc("what is counted: requests, their tokens, or both")
    ] = "requests"
    max_concurrency: Annotated[int, Range(1, _MOST), Doc("requests that an endpoint may have")] = 100
    max_token_concurrency: Annotated[int, Range(1, _MOST), Doc("tokens that an endpoint may have")] = (
        1_000_000
    )
    headroom: Annotated[
        float, Range(0, _MOST_HEADROOM), Doc("the filter's limits are this part above the maximum")
    ] = 0.0

    def saturation(self, endpoints: Candidates) -> float:
        """0 is idle, 1 and more is saturated; a pool without endpoints is saturated."""
        if not len(endpoints):
            return 1.0
        load = max(float(np.add.reduce(each)) for each in self._loads(endpoints))
        return load / len(endpoints)

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those within the limits; None, which keeps all, if all are or none is."""
        limit = 1.0 + self.headroom
        within: Mask = np.logical_and.reduce([each < limit for each in self._loads(endpoints)])
        return stays(within, or_all=True)

    def _loads(self, endpoints: Candidates) -> list[Floats]:
        """What is in flight, 1 at the maximum; one array for each thing that is counted."""
        loads = []
        if self.concurrency_mode != "tokens":
            loads.append(endpoints.in_flight / self.max_concurrency)
        if self.concurrency_mode != "requests":
            loads.append(endpoints.in_flight_tokens / self.max_token_concurrency)
        return loads
