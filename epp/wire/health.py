"""The messages of grpc.health.v1 and their bytes. Pure; what the answers mean is `epp.transport.health`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from google.protobuf.message import DecodeError

from epp.errors import ProtocolError
from epp.wire import health_pb2 as pb


class ServingStatus(IntEnum):
    """HealthCheckResponse.ServingStatus."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def decode_health_check(data: bytes) -> str:
    """Read the service name of a HealthCheckRequest; raises ProtocolError."""
    try:
        return pb.HealthCheckRequest.FromString(data).service
    except DecodeError as error:
        raise ProtocolError("the bytes are no HealthCheckRequest") from error


def encode_health_check(status: ServingStatus) -> bytes:
    """Write a HealthCheckResponse."""
    return _response(status).SerializeToString()


def encode_health_list(statuses: Mapping[str, ServingStatus]) -> bytes:
    """Write a HealthListResponse: the status of each service by its name."""
    response = pb.HealthListResponse()
    for service, status in statuses.items():
        response.statuses[service].CopyFrom(_response(status))
    return response.SerializeToString()


def _response(status: ServingStatus) -> pb.HealthCheckResponse:
    return pb.HealthCheckResponse(status=status.name)
