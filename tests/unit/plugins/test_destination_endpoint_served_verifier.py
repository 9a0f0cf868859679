"""destination-endpoint-served-verifier: what the gateway reports, as a header of the answer."""

from __future__ import annotations

import pytest

from epp.plugin import Response
from epp.plugins.destination_endpoint_served_verifier import DestinationEndpointServedVerifier
from epp.wire.messages import MetadataMap
from tests.pools import request

KEY = "x-gateway-destination-endpoint-served"


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"envoy.lb": {KEY: "10.0.0.1:3000"}}, "10.0.0.1:3000"),
        ({"envoy.lb": {}}, "fail: missing destination endpoint served metadata"),
        ({"envoy.lb": {KEY: 3000}}, "fail: missing destination endpoint served metadata"),
        ({"other": {KEY: "10.0.0.1:3000"}}, "fail: missing envoy lb metadata"),
        ({}, "fail: missing envoy lb metadata"),
    ],
)
def test_what_is_said(metadata: MetadataMap, said: str) -> None:
    answer = Response(None, {":status": "200"}, metadata)
    assert DestinationEndpointServedVerifier().responded(request(), answer) == (
        ("x-conformance-test-served-endpoint", said),
    )
