"""The messages of one ext_proc conversation, as the stream state machine speaks them.

Six kinds come in from Envoy, five go out. They carry what the protocol says and nothing of protobuf; the
codec translates. Field meanings: envoy.service.ext_proc.v3.

They are msgspec structs and not dataclasses because several are made for each request: a frozen dataclass
takes 0.8 us, a struct 0.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Any

import msgspec

# Header names are lower-case, values text; a repeated header stands as often as it came.
HeaderList = tuple[tuple[str, str], ...]

# Namespace -> key -> value, as in Metadata.filter_metadata.
MetadataMap = Mapping[str, Mapping[str, Any]]

NO_METADATA: MetadataMap = {}


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


class ProtocolConfig(msgspec.Struct, frozen=True, gc=False):
    """The body modes of both phases, which Envoy tells in its first message."""

    request_body_mode: BodyMode
    response_body_mode: BodyMode


class Context(msgspec.Struct, frozen=True, gc=False):
    """What may ride on any message from Envoy, beside the message itself."""

    metadata: MetadataMap = msgspec.field(default_factory=dict)
    attributes: MetadataMap = msgspec.field(default_factory=dict)
    protocol: ProtocolConfig | None = None


NO_CONTEXT = Context()


class HttpHeaders(msgspec.Struct, frozen=True, gc=False):
    """The headers of one phase. `end_of_stream`: neither body nor trailers follow."""

    phase: Phase
    headers: HeaderList
    end_of_stream: bool = False
    context: Context = NO_CONTEXT


class HttpBody(msgspec.Struct, frozen=True, gc=False):
    """A piece of one phase's body, a view if it is long. `end_of_stream`: nothing follows in this phase."""

    phase: Phase
    data: bytes | memoryview
    end_of_stream: bool = False
    context: Context = NO_CONTEXT


class HttpTrailers(msgspec.Struct, frozen=True, gc=False):
    """The trailers that end one phase."""

    phase: Phase
    context: Context = NO_CONTEXT


Message = HttpHeaders | HttpBody | HttpTrailers


class HeaderMutation(msgspec.Struct, frozen=True, gc=False):
    """Changes to headers: `set` overwrites, then `remove` takes out."""

    set: HeaderList = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.remove)


NO_MUTATION = HeaderMutation()


class HeadersAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to `HttpHeaders`."""

    phase: Phase
    mutation: HeaderMutation = NO_MUTATION
    clear_route_cache: bool = False
    dynamic_metadata: MetadataMap = NO_METADATA


class StreamedBody(msgspec.Struct, frozen=True, gc=False):
    """A piece of outgoing body in FULL_DUPLEX_STREAMED mode."""

    phase: Phase
    data: bytes | memoryview
    end_of_stream: bool = False
    dynamic_metadata: MetadataMap = NO_METADATA


class BodyAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to one `HttpBody` in the other modes; `data` None leaves the piece as it was."""

    phase: Phase
    data: bytes | None = None
    mutation: HeaderMutation = NO_MUTATION
    clear_route_cache: bool = False
    dynamic_metadata: MetadataMap = NO_METADATA


class TrailersAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to `HttpTrailers`: they go on unchanged."""

    phase: Phase
    dynamic_metadata: MetadataMap = NO_METADATA


class ImmediateResponse(msgspec.Struct, frozen=True, gc=False):
    """Ends the HTTP request with this answer; nothing may follow it on the stream."""

    status: int
    headers: HeaderList = ()
    body: bytes = b""
    details: str = ""  # shows in Envoy's access log as RESPONSE_CODE_DETAILS


Answer = HeadersAnswer | StreamedBody | BodyAnswer | TrailersAnswer | ImmediateResponse
