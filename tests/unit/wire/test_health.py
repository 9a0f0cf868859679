"""Our bytes against the classes of the grpcio-health-checking package."""

import pytest
from grpc_health.v1 import health_pb2 as grpc_health

from epp.errors import ProtocolError
from epp.wire.health import ServingStatus, decode_health_check, encode_health_check, encode_health_list


@pytest.mark.parametrize(
    "service", ["", "inference-extension", "envoy.service.ext_proc.v3.ExternalProcessor"]
)
def test_check_request(service: str) -> None:
    assert decode_health_check(grpc_health.HealthCheckRequest(service=service).SerializeToString()) == service


def test_check_request_that_is_none() -> None:
    with pytest.raises(ProtocolError, match="no HealthCheckRequest"):
        decode_health_check(b"\x0a\x05ab")


@pytest.mark.parametrize("status", ServingStatus)
def test_check_response(status: ServingStatus) -> None:
    answer = grpc_health.HealthCheckResponse.FromString(encode_health_check(status))
    assert grpc_health.HealthCheckResponse.ServingStatus.Name(answer.status) == status.name


def test_list_response() -> None:
    statuses = {"a": ServingStatus.SERVING, "b": ServingStatus.UNKNOWN}
    answer = grpc_health.HealthListResponse.FromString(encode_health_list(statuses))
    assert {name: response.status for name, response in answer.statuses.items()} == statuses
