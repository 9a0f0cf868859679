"""The cases of h2spec 2.6, the public conformance suite of HTTP/2 servers, by their numbers there.

h2spec is a program of its own and not to be had everywhere, so its cases stand here as what they send and
what it accepts. A script is bytes to send and `After`s to wait for; an outcome is what has to come then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpack import Encoder

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, Setting
from epp.transport.h2.header_blocks import NO_DYNAMIC_TABLE

Field = tuple[str, str]

PLAIN, END = 0, frames.END_STREAM
HEADERS_END = frames.END_HEADERS
BOTH = frames.END_STREAM | frames.END_HEADERS

GET: tuple[Field, ...] = (
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "localhost"),
)
POST = ((":method", "POST"), *GET[1:])
PADDING = 8


@dataclass(frozen=True, slots=True)
class After:
    """Wait until the server has sent a frame whose line (see `tests.h2_peer.Peer.read`) is like this."""

    start: str
    end: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What h2spec accepts: the first line with one of these starts decides; the others are passed over.

    `closes`: the connection ends after it. h2spec takes its end alone for an error too; this server says why.
    """

    starts: tuple[str, ...]
    closes: bool = False


def connection_error(*codes: ErrorCode) -> Outcome:
    """GOAWAY with one of these codes, and the end of the connection."""
    return Outcome(tuple(f"GOAWAY ANY {code.name}" for code in codes), closes=True)


def stream_error(*codes: ErrorCode) -> Outcome:
    """RST_STREAM for any stream, or a connection error, with one of these codes."""
    return Outcome(tuple(f"{kind} ANY {code.name}" for kind in ("RST_STREAM", "GOAWAY") for code in codes))


PROTOCOL, STREAM_CLOSED = ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED
FRAME_SIZE, COMPRESSION = ErrorCode.FRAME_SIZE_ERROR, ErrorCode.COMPRESSION_ERROR
FLOW_CONTROL, REFUSED = ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.REFUSED_STREAM

ANSWERED = Outcome(("HEADERS 1 ",))
PONG = Outcome(("PING ACK h2spec!!",))
ACKNOWLEDGED = Outcome(("SETTINGS ACK",))
ONE_BYTE = Outcome(("DATA 1 1",))
CONNECTION_PROTOCOL = connection_error(PROTOCOL)
CONNECTION_FRAME_SIZE = connection_error(FRAME_SIZE)
CONNECTION_COMPRESSION = connection_error(COMPRESSION)
STREAM_PROTOCOL = stream_error(PROTOCOL)
LATE = stream_error(STREAM_CLOSED)
LATE_CONTINUATION = connection_error(STREAM_CLOSED, PROTOCOL)
ANSWER_ENDED = After("", " END")


# Frames -----------------------------------------------------------------------------------------------------


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """Any frame, of any length."""
    return frames.frame(kind, flags, stream_id, payload)


def settings(*items: tuple[int, int]) -> bytes:
    """SETTINGS; one setting may stand twice."""
    payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in items)
    return frame(frames.SETTINGS, 0, 0, payload)


def ping(payload: bytes = b"h2spec!!", flags: int = 0, stream_id: int = 0) -> bytes:
    return frame(frames.PING, flags, stream_id, payload)


def data(flags: int = END, payload: bytes = b"test", stream_id: int = 1) -> bytes:
    return frame(frames.DATA, flags, stream_id, payload)


def priority(stream_id: int = 1, depends_on: int = 0, weight: int = 255) -> bytes:
    return frame(frames.PRIORITY, 0, stream_id, depends_on.to_bytes(4, "big") + bytes([weight]))


def reset(stream_id: int = 1, code: int = ErrorCode.CANCEL) -> bytes:
    return frame(frames.RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def credit(increment: int, stream_id: int = 1) -> bytes:
    return frame(frames.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def goaway(code: int = 0, stream_id: int = 0) -> bytes:
    return frame(frames.GOAWAY, 0, stream_id, bytes(4) + code.to_bytes(4, "big") + b"h2spec")


def padded(payload: bytes) -> bytes:
    return bytes([PADDING]) + payload + bytes(PADDING)


def block(*fields: Field) -> bytes:
    """A header block that refers to no other."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode(fields).removeprefix(NO_DYNAMIC_TABLE)


def head(fields: Sequence[Field] = GET, flags: int = BOTH, stream_id: int = 1, more: bytes = b"") -> bytes:
    """HEADERS."""
    return frame(frames.HEADERS, flags, stream_id, block(*fields) + more)


def continuation(
    fields: Sequence[Field] = (("x-more", "1"),), flags: int = HEADERS_END, stream_id: int = 1
) -> bytes:
    return frame(frames.CONTINUATION, flags, stream_id, block(*fields))


def replaced(name: str, value: str) -> tuple[Field, ...]:
    """GET with another value."""
    return tuple((key, value if key == name else old) for key, old in GET)


def without(name: str) -> tuple[Field, ...]:
    return tuple(field for field in GET if field[0] != name)


def twice(name: str) -> tuple[Field, ...]:
    return tuple(field for field in GET for _ in range(2 if field[0] == name else 1))


# Cases ------------------------------------------------------------------------------------------------------

Script = Sequence[bytes | After]
Cases = dict[str, tuple[Script, Outcome]]


def _window(size: int) -> bytes:
    return settings((Setting.INITIAL_WINDOW_SIZE, size))


_PADDED_POST = frame(frames.HEADERS, BOTH | frames.PADDED, 1, padded(block(*GET)))
_PRIORITIZED = frame(frames.HEADERS, BOTH | frames.HAS_PRIORITY, 1, bytes(4) + b"\xff" + block(*GET))
_ON_ITSELF = frame(frames.HEADERS, BOTH | frames.HAS_PRIORITY, 1, b"\0\0\0\1\xff" + block(*GET))
_LARGEST = frames.DEFAULT_MAX_FRAME_SIZE
_OPEN = head(POST, HEADERS_END)  # a request of which more comes
_ASKED = head()  # a whole request
_DONE = (_ASKED, ANSWER_ENDED)  # closed by both sides
_HALF = head(flags=END)  # a block that goes on

GENERIC: Cases = {
    "generic/1/1": ((ping(),), PONG),
    "generic/2/1": ((priority(), ping()), PONG),
    "generic/2/2": ((_ASKED, credit(100)), ANSWERED),
    "generic/2/3": ((_ASKED, priority()), ANSWERED),
    "generic/2/4": ((_ASKED, reset(), ping()), PONG),
    "generic/2/5": ((*_DONE, priority(), ping()), PONG),
    "generic/3.1/1": ((_OPEN, data()), ANSWERED),
    "generic/3.1/2": ((_OPEN, data(PLAIN), data()), ANSWERED),
    "generic/3.1/3": ((_OPEN, data(END | frames.PADDED, padded(b"test"))), ANSWERED),
    "generic/3.2/1": ((_ASKED,), ANSWERED),
    "generic/3.2/2": ((_PADDED_POST,), ANSWERED),
    "generic/3.2/3": ((_PRIORITIZED,), ANSWERED),
    "generic/3.3/1": ((priority(weight=0), _ASKED), ANSWERED),
    "generic/3.3/2": ((priority(weight=255), _ASKED), ANSWERED),
    "generic/3.3/3": ((priority(depends_on=3), _ASKED), ANSWERED),
    "generic/3.3/4": ((priority(depends_on=1 << 31 | 3), _ASKED), ANSWERED),
    "generic/3.3/5": ((priority(3), _ASKED), ANSWERED),
    "generic/3.4/1": ((_OPEN, reset(), ping()), PONG),
    "generic/3.5/1": ((_window(65_535),), ACKNOWLEDGED),
    "generic/3.7/1": ((ping(),), PONG),
    "generic/3.8/1": ((goaway(), ping()), PONG),
    "generic/3.9/1": ((credit(1, 0), _ASKED), ANSWERED),
    "generic/3.9/2": ((_OPEN, credit(1), data()), ANSWERED),
    "generic/3.10/1": ((_HALF, continuation()), ANSWERED),
    "generic/3.10/2": ((_HALF, continuation(flags=PLAIN), continuation()), ANSWERED),
    "generic/4/1": ((_ASKED,), ANSWERED),
    "generic/4/2": ((head(replaced(":method", "HEAD")),), ANSWERED),
    "generic/4/3": ((_OPEN, data()), ANSWERED),
    "generic/4/4": ((_OPEN, data(PLAIN), head((("x-test", "ok"),))), ANSWERED),
}

HTTP2: Cases = {
    "http2/4.1/1": ((frame(0x16, 0, 0, bytes(8)), ping()), PONG),
    "http2/4.1/2": ((ping(flags=0x16),), PONG),
    "http2/4.1/3": ((ping(stream_id=1 << 31),), PONG),
    "http2/4.2/1": ((_OPEN, data(payload=bytes(_LARGEST))), ANSWERED),
    "http2/4.2/2": ((_OPEN, data(payload=bytes(_LARGEST + 1))), stream_error(FRAME_SIZE)),
    "http2/4.2/3": ((head(more=bytes(_LARGEST)),), CONNECTION_FRAME_SIZE),
    "http2/4.3/1": ((frame(frames.HEADERS, BOTH, 1, b"\x40"),), CONNECTION_COMPRESSION),
    "http2/4.3/2": ((_HALF, priority(), continuation()), CONNECTION_PROTOCOL),
    "http2/4.3/3": ((_HALF, head(stream_id=3), continuation()), CONNECTION_PROTOCOL),
    "http2/5.1/1": ((data(),), connection_error(PROTOCOL, STREAM_CLOSED)),
    "http2/5.1/2": ((reset(),), CONNECTION_PROTOCOL),
    "http2/5.1/3": ((credit(100),), CONNECTION_PROTOCOL),
    "http2/5.1/4": ((continuation(GET, BOTH),), CONNECTION_PROTOCOL),
    "http2/5.1/5": ((_ASKED, data()), LATE),
    "http2/5.1/6": ((_ASKED, head()), LATE),
    "http2/5.1/7": ((_ASKED, continuation()), LATE_CONTINUATION),
    "http2/5.1/8": ((_OPEN, reset(), data()), LATE),
    "http2/5.1/9": ((_OPEN, reset(), head()), LATE),
    "http2/5.1/10": ((_OPEN, reset(), continuation()), LATE_CONTINUATION),
    "http2/5.1/11": ((*_DONE, data()), LATE),
    "http2/5.1/12": ((*_DONE, head()), connection_error(STREAM_CLOSED)),
    "http2/5.1/13": ((*_DONE, continuation()), LATE_CONTINUATION),
    "http2/5.1.1/1": ((head(stream_id=2),), CONNECTION_PROTOCOL),
    "http2/5.1.1/2": ((head(stream_id=5), head(stream_id=3)), CONNECTION_PROTOCOL),
    "http2/5.3.1/1": ((_ON_ITSELF,), STREAM_PROTOCOL),
    "http2/5.3.1/2": ((priority(depends_on=1),), STREAM_PROTOCOL),
    "http2/5.4.1/1": ((ping(stream_id=3),), CONNECTION_PROTOCOL),
    "http2/5.4.1/2": ((ping(stream_id=3),), CONNECTION_PROTOCOL),
    "http2/5.5/1": ((frame(0x16, 0, 0, bytes(8)), ping()), PONG),
    "http2/5.5/2": ((_HALF, frame(0x16, 0, 0, bytes(8)), continuation()), CONNECTION_PROTOCOL),
    "http2/6.1/1": ((data(stream_id=0),), CONNECTION_PROTOCOL),
    "http2/6.1/2": ((*_DONE, data()), LATE),
    "http2/6.1/3": ((_OPEN, data(END | frames.PADDED, b"\x06test")), CONNECTION_PROTOCOL),
    "http2/6.2/1": ((_HALF, priority()), CONNECTION_PROTOCOL),
    "http2/6.2/2": ((_HALF, head(stream_id=3)), CONNECTION_PROTOCOL),
    "http2/6.2/3": ((head(stream_id=0),), CONNECTION_PROTOCOL),
    "http2/6.2/4": (
        (frame(frames.HEADERS, BOTH | frames.PADDED, 1, b"\xff" + block(*GET)),),
        CONNECTION_PROTOCOL,
    ),
    "http2/6.3/1": ((priority(0),), CONNECTION_PROTOCOL),
    "http2/6.3/2": ((_OPEN, frame(frames.PRIORITY, 0, 1, bytes(4))), stream_error(FRAME_SIZE)),
    "http2/6.4/1": ((reset(0),), CONNECTION_PROTOCOL),
    "http2/6.4/2": ((reset(),), CONNECTION_PROTOCOL),
    "http2/6.4/3": ((_OPEN, frame(frames.RST_STREAM, 0, 1, bytes(3))), CONNECTION_FRAME_SIZE),
    "http2/6.5/1": ((frame(frames.SETTINGS, frames.ACK, 0, bytes(1)),), CONNECTION_FRAME_SIZE),
    "http2/6.5/2": ((frame(frames.SETTINGS, 0, 1, bytes(6)),), CONNECTION_PROTOCOL),
    "http2/6.5/3": ((frame(frames.SETTINGS, 0, 0, bytes(3)),), CONNECTION_FRAME_SIZE),
    "http2/6.5.2/1": ((settings((Setting.ENABLE_PUSH, 2)),), CONNECTION_PROTOCOL),
    "http2/6.5.2/2": ((_window(1 << 31),), connection_error(FLOW_CONTROL)),
    "http2/6.5.2/3": ((settings((Setting.MAX_FRAME_SIZE, _LARGEST - 1)),), CONNECTION_PROTOCOL),
    "http2/6.5.2/4": ((settings((Setting.MAX_FRAME_SIZE, 1 << 24)),), CONNECTION_PROTOCOL),
    "http2/6.5.2/5": ((settings((0xFF, 1)), ping()), PONG),
    "http2/6.5.3/1": (
        (settings((Setting.INITIAL_WINDOW_SIZE, 100), (Setting.INITIAL_WINDOW_SIZE, 1)), _ASKED),
        ONE_BYTE,
    ),
    "http2/6.5.3/2": ((_window(65_535),), ACKNOWLEDGED),
    "http2/6.7/1": ((ping(),), PONG),
    "http2/6.7/2": ((ping(b"invalid ", frames.ACK), ping()), PONG),
    "http2/6.7/3": ((ping(stream_id=1),), CONNECTION_PROTOCOL),
    "http2/6.7/4": ((ping(bytes(6)),), CONNECTION_FRAME_SIZE),
    "http2/6.8/1": ((goaway(stream_id=1),), CONNECTION_PROTOCOL),
    "http2/6.9/1": ((credit(0, 0),), CONNECTION_PROTOCOL),
    "http2/6.9/2": ((_OPEN, credit(0)), STREAM_PROTOCOL),
    "http2/6.9/3": ((frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)),), CONNECTION_FRAME_SIZE),
    "http2/6.9.1/1": ((_window(1), After("SETTINGS ACK"), _ASKED), ONE_BYTE),
    "http2/6.9.1/2": ((credit((1 << 31) - 1, 0) * 2,), connection_error(FLOW_CONTROL)),
    "http2/6.9.1/3": ((_OPEN, credit((1 << 31) - 1) * 2), stream_error(FLOW_CONTROL)),
    "http2/6.9.2/1": ((_window(0), After("SETTINGS ACK"), _ASKED, _window(1)), ONE_BYTE),
    "http2/6.9.2/2": (
        (_window(3), After("SETTINGS ACK"), _ASKED, After("DATA 1 3"), _window(2), credit(2)),
        ONE_BYTE,
    ),
    "http2/6.9.2/3": ((_window(1 << 31),), connection_error(FLOW_CONTROL)),
    "http2/6.10/1": ((_HALF, continuation(flags=PLAIN), continuation()), ANSWERED),
    "http2/6.10/2": ((_HALF, continuation(flags=PLAIN), data()), CONNECTION_PROTOCOL),
    "http2/6.10/3": ((_HALF, continuation(stream_id=0)), CONNECTION_PROTOCOL),
    "http2/6.10/4": ((_OPEN, continuation()), CONNECTION_PROTOCOL),
    "http2/6.10/5": ((_HALF, continuation(), continuation()), CONNECTION_PROTOCOL),
    "http2/6.10/6": ((_OPEN, data(PLAIN), continuation()), CONNECTION_PROTOCOL),
    "http2/7/1": ((goaway(0xFF), ping()), PONG),
    "http2/7/2": ((_OPEN, reset(code=0xFF), ping()), PONG),
    "http2/8.1/1": ((_OPEN, data(PLAIN), head((("x-test", "ok"),), HEADERS_END)), STREAM_PROTOCOL),
    "http2/8.1.2/1": ((head((*GET, ("X-TEST", "ok"))),), STREAM_PROTOCOL),
    "http2/8.1.2.1/1": ((head((*GET, (":test", "ok"))),), STREAM_PROTOCOL),
    "http2/8.1.2.1/2": ((head((*GET, (":status", "200"))),), STREAM_PROTOCOL),
    "http2/8.1.2.1/3": ((_OPEN, data(PLAIN), head(((":method", "200"),))), STREAM_PROTOCOL),
    "http2/8.1.2.1/4": ((head((*GET[:3], ("x-test", "ok"), GET[3])),), STREAM_PROTOCOL),
    "http2/8.1.2.2/1": ((head((*GET, ("connection", "keep-alive"))),), STREAM_PROTOCOL),
    "http2/8.1.2.2/2": ((head((*GET, ("trailers", "test"), ("te", "trailers, deflate"))),), STREAM_PROTOCOL),
    "http2/8.1.2.3/1": ((head(replaced(":path", "")),), STREAM_PROTOCOL),
    "http2/8.1.2.3/2": ((head(without(":method")),), STREAM_PROTOCOL),
    "http2/8.1.2.3/3": ((head(without(":scheme")),), STREAM_PROTOCOL),
    "http2/8.1.2.3/4": ((head(without(":path")),), STREAM_PROTOCOL),
    "http2/8.1.2.3/5": ((head(twice(":method")),), STREAM_PROTOCOL),
    "http2/8.1.2.3/6": ((head(twice(":scheme")),), STREAM_PROTOCOL),
    "http2/8.1.2.3/7": ((head(twice(":path")),), STREAM_PROTOCOL),
    "http2/8.1.2.6/1": ((head((*POST, ("content-length", "1")), HEADERS_END), data()), STREAM_PROTOCOL),
    "http2/8.1.2.6/2": (
        (head((*POST, ("content-length", "1")), HEADERS_END), data(PLAIN), data()),
        STREAM_PROTOCOL,
    ),
    "http2/8.2/1": (
        (frame(frames.PUSH_PROMISE, HEADERS_END, 1, bytes(3) + b"\3" + block(*GET)),),
        CONNECTION_PROTOCOL,
    ),
}

# RFC 7541, section 6.2: the three kinds of literals, with "user-agent" (58) as the indexed name; Huffman code
# of the name "x-test" and of the value "ok".
_LITERALS = {
    "incremental": (b"\x7a", b"\x40"),
    "plain": (b"\x0f\x2b", b"\0"),
    "never": (b"\x1f\x2b", b"\x10"),
}
_NAMES = (b"\x06x-test", b"\x85\xf2\xb2\x4a\x84\xff")
_VALUES = (b"\x02ok", b"\x82\x3f\x5f")


def _literals() -> Iterator[bytes]:
    for indexed, new in _LITERALS.values():
        yield from (indexed + value for value in _VALUES)
        yield from (new + name + value for name, value in zip(_NAMES, _VALUES, strict=True))


def _block(more: bytes) -> tuple[Script, Outcome]:
    return (head(more=more),), ANSWERED


def _broken(more: bytes) -> tuple[Script, Outcome]:
    return (head(more=more),), CONNECTION_COMPRESSION


HPACK: Cases = {
    "generic/5/1": _block(b"\x90"),  # accept-encoding: gzip, deflate
    **{f"generic/5/{number}": _block(more) for number, more in enumerate(_literals(), start=2)},
    "generic/5/14": ((frame(frames.HEADERS, BOTH, 1, b"\x20" + block(*GET)),), ANSWERED),
    "generic/5/15": ((frame(frames.HEADERS, BOTH, 1, b"\x20\x3f\xe1\x1f" + block(*GET)),), ANSWERED),
    "hpack/2.3.3/1": _broken(b"\xc6"),
    "hpack/2.3.3/2": _broken(b"\x7f\x07\x02ok"),
    "hpack/4.2/1": _broken(b"\x3f\x01"),
    "hpack/5.2/1": _broken(b"\x40\x86\xf2\xb2\x4a\x84\xff\xff\x02ok"),
    "hpack/5.2/2": _broken(b"\x40\x85\xf2\xb2\x4a\x84\x80\x02ok"),
    "hpack/5.2/3": _broken(b"\x40\x89\xf2\xb2\x4a\x84\xff\xff\xff\xff\xff\x02ok"),
    "hpack/6.1/1": _broken(b"\x80"),
    "hpack/6.3/1": (
        (frame(frames.HEADERS, BOTH, 1, b"\x3f\xe2\x1f" + block(*GET)),),
        CONNECTION_COMPRESSION,
    ),
}

CASES: Cases = GENERIC | HTTP2 | HPACK
