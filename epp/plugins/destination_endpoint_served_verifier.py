"""destination-endpoint-served-verifier: an answer says which endpoint the gateway says it came from."""

from __future__ import annotations

from dataclasses import dataclass

from epp.plugin import Response
from epp.types import InferenceRequest
from epp.wire.messages import HeaderList

HEADER = "x-conformance-test-served-endpoint"

# Where gateways report it (endpoint-picker protocol, proposal 004).
_NAMESPACE, _SERVED = "envoy.lb", "x-gateway-destination-endpoint-served"


@dataclass
class DestinationEndpointServedVerifier:
    """Sets `x-conformance-test-served-endpoint` on answers to the endpoint that the gateway reports.

    Or to what is missing of the report, in the reference's words. For conformance tests only.
    """

    def responded(self, request: InferenceRequest, response: Response) -> HeaderList:
        """The one header."""
        namespace = response.metadata.get(_NAMESPACE)
        if namespace is None:
            return ((HEADER, "fail: missing envoy lb metadata"),)
        served = namespace.get(_SERVED)
        if not isinstance(served, str):
            return ((HEADER, "fail: missing destination endpoint served metadata"),)
        return ((HEADER, served),)
