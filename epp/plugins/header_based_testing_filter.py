"""header-based-testing-filter: a request names the endpoints that may serve it, in conformance tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epp.datastore.endpoints import Candidates, Mask
from epp.types import Api, InferenceRequest

HEADER = "test-epp-endpoint-selection"


@dataclass
class HeaderBasedTestingFilter:
    """Keeps the endpoints that the header `test-epp-endpoint-selection` names. For tests only.

    The header is a list with commas of `ip`, `ip:port`, `[ipv6]` or `[ipv6]:port`; an address without a port
    names all endpoints that have it, where the reference takes one of them. Without the header no endpoint
    stays, and the request is refused (503; 429 in the reference); but a request that has no body either, as
    GET, may go anywhere, because the reference does not schedule those.
    """

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those that are named; None for a request without header and body."""
        if request.body.api is Api.NONE and HEADER not in request.headers:
            return None
        named = {entry.strip() for entry in request.headers.get(HEADER, "").split(",")}
        specs = (endpoints.at(index).spec for index in range(len(endpoints)))
        return np.array([not named.isdisjoint((s.address, s.host, f"[{s.host}]")) for s in specs], np.bool_)
