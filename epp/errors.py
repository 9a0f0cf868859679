"""The errors of the picker: each knows the answer it asks for.

`RequestError` ends one HTTP request with an immediate response, `ProtocolError` one ext_proc stream with a
gRPC status, `ConfigError` a start or a reload. Foreign errors are mapped to these where they enter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class RequestError(Exception):
    """A request that gets an HTTP error answer instead of an endpoint.

    `status` is the HTTP status; `code` the reference's canonical word, used as the `error_code` label of
    `inference_objective_request_error_total`; `kind` the OpenAI-style `error.type`; `reason` the stable word
    of the `x-inference-error-reason` header; `retry_after` whole seconds, None where a retry cannot help.
    """

    status = 500
    code = "Internal"
    kind = "internal_error"
    reason = "internal"
    retry_after: int | None = None

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason


class BadRequestError(RequestError):
    """400: the body cannot be read; reasons `bad_json`, `no_model`, `bad_shape`."""

    status = 400
    code = "BadRequest"
    kind = "invalid_request_error"
    reason = "bad_request"


class UnknownPathError(RequestError):
    """404: strict paths were asked for and this one is not known."""

    status = 404
    code = "NotFound"
    kind = "not_found_error"
    reason = "unknown_path"


class TooLargeError(RequestError):
    """413: the body is over `--max-request-bytes`."""

    status = 413
    code = "BadRequest"
    kind = "invalid_request_error"
    reason = "too_large"


class ShedError(RequestError):
    """429: the pool is saturated and the request's priority is negative."""

    status = 429
    code = "ResourceExhausted"
    kind = "rate_limit_error"
    reason = "shed"
    retry_after = 1


class NoEndpointError(RequestError):
    """503: no endpoint may take the request."""

    status = 503
    code = "ServiceUnavailable"
    kind = "service_unavailable_error"
    reason = "no_endpoint"
    retry_after = 1


class GrpcStatus(IntEnum):
    """The gRPC status codes that the picker sends (grpc/doc/statuscodes.md)."""

    OK = 0
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class ProtocolError(Exception):
    """An ext_proc stream that broke a rule of the protocol: ends that stream and no other."""

    status = GrpcStatus.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a file: where, and what."""

    file: str
    line: int  # 1-based; 0 where a fault has no line
    path: str  # e.g. "endpoints[2].port"; "" for the whole document
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(Exception):
    """A file or an argument vector with every fault found in it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[Sequence[Fault]]]:
        """Made again of its faults, as it may cross processes."""
        return type(self), (self.faults,)
