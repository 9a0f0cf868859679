"""The messages of one ext_proc conversation, as the stream state machine speaks them.

Six kinds come in from Envoy, five go out. They carry what the protocol says and nothing of protobuf; the
codec translates. Field meanings: envoy.service.ext_proc.v3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

# Header names are lower-case, values text; a repeated header stands as often as it came.
HeaderList = tuple[tuple[str, str], ...]

# Namespace -> key -> value, as in Metadata.filter_metadata.
MetadataMap = Mapping[str, Mapping[str, Any]]


class Phase(Enum):
    """Which half of the HTTP exchange a message speaks of."""

    REQUEST = "request"
    RESPONSE = "response"


class BodyMode(IntEnum):
    """How Envoy sends a body (ProcessingMode.BodySendMode)."""

    NONE = 0
    STREAMED = 1
    BUFFERED = 2
    BUFFERED_PARTIAL = 3
    FULL_DUPLEX_STREAMED = 4
    GRPC = 5


@dataclass(frozen=True, slots=True)
class ProtocolConfig:
    """The body modes of both phases, which Envoy tells in its first message."""

    request_body_mode: BodyMode
    response_body_mode: BodyMode


@dataclass(frozen=True, slots=True)
class Context:
    """What may ride on any message from Envoy, beside the message itself."""

    metadata: MetadataMap = field(default_factory=dict)
    attributes: MetadataMap = field(default_factory=dict)
    protocol: ProtocolConfig | None = None


NO_CONTEXT = Context()


@dataclass(frozen=True, slots=True)
class HttpHeaders:
    """The headers of one phase. `end_of_stream`: neither body nor trailers follow."""

    phase: Phase
    headers: HeaderList
    end_of_stream: bool = False
    context: Context = NO_CONTEXT


@dataclass(frozen=True, slots=True)
class HttpBody:
    """A piece of one phase's body. `end_of_stream`: nothing follows in this phase."""

    phase: Phase
    data: bytes
    end_of_stream: bool = False
    context: Context = NO_CONTEXT


@dataclass(frozen=True, slots=True)
class HttpTrailers:
    """The trailers that end one phase."""

    phase: Phase
    context: Context = NO_CONTEXT


Message = HttpHeaders | HttpBody | HttpTrailers


@dataclass(frozen=True, slots=True)
class HeaderMutation:
    """Changes to headers: `set` overwrites, then `remove` takes out."""

    set: HeaderList = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.remove)


NO_MUTATION = HeaderMutation()


@dataclass(frozen=True, slots=True)
class HeadersAnswer:
    """The answer to `HttpHeaders`."""

    phase: Phase
    mutation: HeaderMutation = NO_MUTATION
    clear_route_cache: bool = False
    dynamic_metadata: MetadataMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamedBody:
    """A piece of outgoing body in FULL_DUPLEX_STREAMED mode."""

    phase: Phase
    data: bytes | memoryview
    end_of_stream: bool = False


@dataclass(frozen=True, slots=True)
class BodyAnswer:
    """The answer to one `HttpBody` in the other modes; `data` None leaves the piece as it was."""

    phase: Phase
    data: bytes | None = None
    mutation: HeaderMutation = NO_MUTATION
    clear_route_cache: bool = False
    dynamic_metadata: MetadataMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrailersAnswer:
    """The answer to `HttpTrailers`: they go on unchanged."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class ImmediateResponse:
    """Ends the HTTP request with this answer; nothing may follow it on the stream."""

    status: int
    headers: HeaderList = ()
    body: bytes = b""
    details: str = ""  # shows in Envoy's access log as RESPONSE_CODE_DETAILS


Answer = HeadersAnswer | StreamedBody | BodyAnswer | TrailersAnswer | ImmediateResponse
