"""gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md): requests, messages, status. Pure."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from epp.errors import GrpcStatus, ProtocolError
from epp.transport.h2.header_blocks import Fields

# A response's fields, before its messages.
RESPONSE: Fields = (
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity,gzip"),
)

# "Content-Type": the format may be named, and parameters may follow. Ours is protobuf.
_CONTENT_TYPE = re.compile(rb"application/grpc(\+proto)?\s*(;.*)?", re.DOTALL)

# "Timeout": at most eight digits and a unit.
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}

# "Length-Prefixed-Message": compressed flag and length.
_PREFIX = struct.Struct(">BL")

# Pieces of a message smaller than this are joined as they come: an object costs as much. Bytes.
_SMALL_PIECE = 512

# zlib's window bits for the gzip format.
_GZIP = 31


class CallError(ProtocolError):
    """What ends a call with a status of its own."""

    def __init__(self, status: GrpcStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Request(NamedTuple):
    """A call that may be served. `timeout` in seconds; `encoding` of messages with the compressed flag."""

    path: str
    timeout: float | None
    encoding: str


class Refusal(NamedTuple):
    """An HTTP answer for what is no gRPC call."""

    fields: Fields
    body: bytes


@lru_cache(maxsize=64)  # gateways send the same fields again and again
def read_request(fields: Fields) -> Request | Refusal:
    """What a request's fields ask for. Raises CallError where a gRPC status is the answer.

    "te: trailers" is not insisted on: it tells that no proxy between would drop trailers, and here is none.
    """
    found = dict(fields)
    if not _CONTENT_TYPE.fullmatch(found.get(b"content-type", b"")):
        return _refusal(b"415", found, b"the content-type must be application/grpc\n")
    if found[b":method"] != b"POST":
        return _refusal(b"405", found, b"the method must be POST\n")
    encoding = found.get(b"grpc-encoding", b"identity")
    if encoding not in (b"identity", b"gzip"):
        raise CallError(GrpcStatus.UNIMPLEMENTED, "messages may be compressed with gzip only")
    path = found[b":path"].decode("latin-1")
    return Request(path, _timeout(found.get(b"grpc-timeout")), encoding.decode())


def _refusal(status: bytes, found: dict[bytes, bytes], body: bytes) -> Refusal:
    fields: Fields = ((b":status", status), (b"content-type", b"text/plain"))
    if status == b"405":
        fields += ((b"allow", b"POST"),)
    # RFC 9110, section 9.3.2: an answer to HEAD has no body.
    return Refusal(fields, b"" if found[b":method"] == b"HEAD" else body)


def _timeout(value: bytes | None) -> float | None:
    if value is None:
        return None
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise CallError(GrpcStatus.INTERNAL, "the grpc-timeout cannot be read")
    return int(match[1]) * _UNITS[match[2]]


class MessageReader:
    """Joins the data of one call into messages.

    A message that lies within one piece of data is cut out of it; one that does not is joined once.
    """

    __slots__ = ("_compressed", "_encoding", "_head", "_max_bytes", "_missing", "_pieces", "amid", "pending")

    def __init__(self, max_bytes: int, encoding: str) -> None:
        self._max_bytes = max_bytes
        self._encoding = encoding
        self._head = b""  # the start of a prefix
        self._pieces: list[bytes | bytearray] = []
        self._missing = 0  # bytes that the message in pieces still needs
        self._compressed = 0
        self.pending = 0  # bytes of the message in pieces
        self.amid = False  # whether a message has begun that has not ended

    def feed(self, data: bytes, start: int, end: int) -> Sequence[bytes]:
        """The messages that end in `data[start:end]`.

        Raises CallError at one that is too large or cannot be read.
        """
        if not self.amid and end - start >= _PREFIX.size:
            compressed, size = _PREFIX.unpack_from(data, start)
            start += _PREFIX.size
            if size == end - start and not compressed and size <= self._max_bytes:
                return (data[start:end],)  # nearly always: one message in one frame
            start -= _PREFIX.size
        return self._join(data, start, end)

    def _join(self, data: bytes, at: int, end: int) -> list[bytes]:
        messages: list[bytes] = []
        if self._head:
            data, at = self._head + data[at:end], 0
            self._head, end = b"", len(data)
        elif self._missing:
            at = self._go_on(data, at, end, messages)
        while end - at >= _PREFIX.size:
            self._compressed, size = _PREFIX.unpack_from(data, at)
            if size > self._max_bytes:
                raise CallError(
                    GrpcStatus.RESOURCE_EXHAUSTED, f"a message of {size} bytes; {self._max_bytes} are allowed"
                )
            at += _PREFIX.size
            if end - at < size:
                self._missing = size
                at = self._go_on(data, at, end, messages)
                break
            messages.append(self._message(data[at : at + size]))
            at += size
        self._head = data[at:end]
        self.amid = bool(self._missing or self._head)
        return messages

    def _go_on(self, data: bytes, at: int, end: int, messages: list[bytes]) -> int:
        """Add to the message in pieces; returns where what it took ends."""
        end = min(end, at + self._missing)
        piece = data[at:end]
        if len(piece) >= _SMALL_PIECE:
            self._pieces.append(piece)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))
        self._missing -= len(piece)
        self.pending += len(piece)
        if not self._missing:
            pieces, self._pieces, self.pending = self._pieces, [], 0
            messages.append(self._message(b"".join(pieces)))
        return end

    def _message(self, data: bytes) -> bytes:
        if not self._compressed:
            return data
        if self._compressed != 1 or self._encoding == "identity":
            raise CallError(GrpcStatus.INTERNAL, "a compressed message without a grpc-encoding")
        inflater = zlib.decompressobj(_GZIP)
        try:
            message = inflater.decompress(data, self._max_bytes)
        except zlib.error:
            raise CallError(GrpcStatus.INTERNAL, "a compressed message that cannot be read") from None
        if not inflater.eof:
            if inflater.unconsumed_tail:
                raise CallError(GrpcStatus.RESOURCE_EXHAUSTED, f"a message over {self._max_bytes} bytes")
            raise CallError(GrpcStatus.INTERNAL, "a compressed message that is cut off")
        return message


def framed(messages: Sequence[bytes]) -> list[bytes]:
    """Messages with their prefixes, as pieces to send. They are never compressed."""
    pieces: list[bytes] = []
    for message in messages:
        pieces += (_PREFIX.pack(0, len(message)), message)
    return pieces


def trailers(status: int, message: str = "", *, alone: bool = False) -> Fields:
    """The fields that end a call; `alone` if no response went before ("Trailers-Only")."""
    fields: Fields = ((b"grpc-status", b"%d" % status),)
    if message:
        fields += ((b"grpc-message", percent_encoded(message)),)
    return RESPONSE[:2] + fields if alone else fields


def percent_encoded(message: str) -> bytes:
    """A status message as it may stand in a field ("Percent-Encoded")."""
    return b"".join(
        b"%c" % byte if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte
        for byte in message.encode()
    )
