"""Bytes from Envoy to messages.

Envoy writes the fields of a ProcessingRequest in the order of their numbers: the message itself, then what
rides on it. That pattern is read here by hand, since most of it has come before: the entries of a header map
are looked up by their bytes, and so is all that follows the message, which Envoy repeats on every message of
every stream. A long body is not copied; upb copies it twice. The four messages of a short request
take 7 us like this, and 18 by upb.

What differs from the pattern in one byte, valid or not, goes to upb whole: upb alone says what that means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct, Value

from epp.errors import ProtocolError
from epp.wire import ext_proc_pb2 as pb
from epp.wire.memo import Memo
from epp.wire.messages import (
    NO_CONTEXT,
    BodyMode,
    Context,
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    Message,
    Phase,
    ProtocolConfig,
)

# Header entries that are remembered. Each request brings one or two that never come again (its id, its
# length), so that this many last for hundreds of requests. Longer ones (cookies, tokens) are one client's.
_HEADERS, _HEADER_BYTES = 1024, 256

# Contexts that are remembered. There is one for each endpoint that serves, and one for each hint of a subset,
# which names all its endpoints: 4096 bytes hold about 150.
_CONTEXTS, _CONTEXT_BYTES = 256, 4096

# Pieces of a body from this size on are views: whoever joins them copies them anyway. A view costs 0.2 us, a
# copy of this many bytes as much.
_VIEWED = 8192


class _UnusualError(Exception):
    """These bytes do not keep to the pattern."""


def decode_request(data: bytes) -> Message:
    """Read one serialized ProcessingRequest, but no metadata and attributes on response bodies and trailers.

    What rides on a message may be shared with other messages. Raises ProtocolError if the bytes cannot be
    parsed (values nested deeper than upb's 100 messages included), hold no message that this protocol knows,
    or name an unknown body mode.
    """
    try:
        return _read_usual(data)
    except (_UnusualError, LookupError, DecodeError, UnicodeDecodeError):
        return _read_any(data)


# As Envoy writes it ---------------------------------------------------------------------------------------


def _read_usual(data: bytes) -> Message:
    read, phase, contexts = _USUAL[data[0]]
    size, start = _length(data, 1)
    end = start + size
    if end > len(data):
        raise _UnusualError
    return read(phase, data, start, end, contexts[data[end:]])


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The length that `data` tells at `at`, and where that which it measures begins."""
    size = data[at]
    if size < 0x80:
        return size, at + 1
    size &= 0x7F
    for shift in (7, 14, 21):
        at += 1
        size |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return size, at + 1
    raise _UnusualError


def _read_headers(phase: Phase, data: bytes, at: int, end: int, context: Context) -> HttpHeaders:
    # HttpHeaders: 1 `headers`, 3 `end_of_stream`. HeaderMap: 1 `headers`, repeated.
    if data[at] != 0x0A:
        raise _UnusualError
    size, at = _length(data, at + 1)
    stop = at + size
    if stop != end and data[stop:end] != b"\x18\x01":
        raise _UnusualError
    headers = []
    while at < stop:
        if data[at] != 0x0A:
            raise _UnusualError
        size, start = data[at + 1], at + 2
        if size > 0x7F:
            size, start = _length(data, at + 1)
        at = start + size
        headers.append(_headers[data[start:at]])
    if at != stop:
        raise _UnusualError
    return HttpHeaders(phase, tuple(headers), stop != end, context)


def _read_header(entry: bytes) -> tuple[str, str]:
    # HeaderValue: 1 `key`, 3 `raw_value`, which is not written where it is empty.
    size, key = _length(entry, 1)
    stop = key + size
    if entry[0] == 0x0A and entry[stop : stop + 1] == b"\x1a":
        size, value = _length(entry, stop + 1)
        if value + size == len(entry):
            return entry[key:stop].decode().lower(), entry[value:].decode(errors="replace")
    return _name_and_value(pb.HeaderValue.FromString(entry))


def _read_body(phase: Phase, data: bytes, at: int, end: int, context: Context) -> HttpBody:
    # HttpBody: 1 `body`, 2 `end_of_stream`; an empty body is not written.
    stop = at
    if data[at] == 0x0A:
        size, at = _length(data, at + 1)
        stop = at + size
    if stop != end and data[stop:end] != b"\x10\x01":
        raise _UnusualError
    piece = data[at:stop] if stop - at < _VIEWED else memoryview(data)[at:stop]
    return HttpBody(phase, piece, stop != end, context)


def _read_context(data: bytes) -> Context:
    return _context(_riding(data))


def _read_protocol(data: bytes) -> Context:
    return _protocol_context(_riding(data))


def _riding(data: bytes) -> pb.ProcessingRequest:
    request = pb.ProcessingRequest.FromString(data)
    if request.WhichOneof("request") is not None:  # it would replace the message, or become part of it
        raise _UnusualError
    return request


def _is_short(data: bytes) -> bool:
    return len(data) <= _CONTEXT_BYTES


_headers = Memo(_read_header, _HEADERS, lambda entry: len(entry) <= _HEADER_BYTES)
_contexts = Memo(_read_context, _CONTEXTS, _is_short)
_protocols = Memo(_read_protocol, _CONTEXTS, _is_short)

# By the first byte: a field's number and that it has a length. Trailers are too rare to be in a hurry.
_Reader = Callable[[Phase, bytes, int, int, Context], Message]
_USUAL: dict[int, tuple[_Reader, Phase, Memo[bytes, Context]]] = {
    0x12: (_read_headers, Phase.REQUEST, _contexts),
    0x1A: (_read_headers, Phase.RESPONSE, _contexts),
    0x22: (_read_body, Phase.REQUEST, _contexts),
    0x2A: (_read_body, Phase.RESPONSE, _protocols),
}


# As anybody may write it ----------------------------------------------------------------------------------


def _read_any(data: bytes) -> Message:
    try:
        request = pb.ProcessingRequest.FromString(data)
    except DecodeError as error:
        raise ProtocolError("the bytes are no ProcessingRequest") from error
    match request.WhichOneof("request"):
        case "request_headers":
            return _any_headers(Phase.REQUEST, request.request_headers, _context(request))
        case "response_headers":
            return _any_headers(Phase.RESPONSE, request.response_headers, _context(request))
        case "request_body":
            return _any_body(Phase.REQUEST, request.request_body, _context(request))
        case "response_body":
            return _any_body(Phase.RESPONSE, request.response_body, _protocol_context(request))
        case "request_trailers":
            return HttpTrailers(Phase.REQUEST, _context(request))
        case "response_trailers":
            return HttpTrailers(Phase.RESPONSE, _protocol_context(request))
        case _:
            raise ProtocolError("the ProcessingRequest holds no message")


def _any_headers(phase: Phase, message: pb.HttpHeaders, context: Context) -> HttpHeaders:
    headers = tuple([_name_and_value(header) for header in message.headers.headers])
    return HttpHeaders(phase, headers, message.end_of_stream, context)


def _any_body(phase: Phase, message: pb.HttpBody, context: Context) -> HttpBody:
    return HttpBody(phase, message.body, message.end_of_stream, context)


def _name_and_value(header: pb.HeaderValue) -> tuple[str, str]:
    # Envoy fills raw_value, older versions and other proxies value. HTTP lets values hold any byte.
    return header.key.lower(), header.raw_value.decode(errors="replace") or header.value


def _context(request: pb.ProcessingRequest) -> Context:
    metadata = request.metadata_context.filter_metadata
    attributes = request.attributes
    context = _protocol_context(request)
    if not metadata and not attributes:
        return context
    return Context(_plain_map(metadata), _plain_map(attributes), context.protocol)


def _protocol_context(request: pb.ProcessingRequest) -> Context:
    """The context of what comes after the response headers: their metadata has been read with them."""
    if not request.HasField("protocol_config"):
        return NO_CONTEXT
    config = request.protocol_config
    return _body_modes(config.request_body_mode, config.response_body_mode)


@lru_cache(maxsize=len(BodyMode) ** 2)
def _body_modes(request_mode: int, response_mode: int) -> Context:
    try:
        return Context(protocol=ProtocolConfig(BodyMode(request_mode), BodyMode(response_mode)))
    except ValueError as error:
        raise ProtocolError(f"protocol_config: {error}") from error


def _plain_map(structs: Mapping[str, Struct]) -> dict[str, dict[str, Any]]:
    return {name: _plain_struct(struct) for name, struct in structs.items()}


def _plain_struct(struct: Struct) -> dict[str, Any]:
    return {key: _plain(value) for key, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain_struct(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind is None or kind == "null_value":
        return None
    return getattr(value, kind)
