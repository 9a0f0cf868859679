"""Frames of HTTP/2, cut from bytes and written to bytes (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

# Section 3.4: what a client sends first.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Section 4.2: the largest payload unless a peer allows more, and the largest that it may allow.
DEFAULT_MAX_FRAME_SIZE = 1 << 14
LARGEST_MAX_FRAME_SIZE = (1 << 24) - 1

# Section 6.9.1: no window may grow beyond. Section 5.1.1: the largest stream identifier.
MAX_WINDOW = MAX_STREAM_ID = (1 << 31) - 1

# Section 6.9.2: every window's size at first.
DEFAULT_WINDOW = 65_535

FRAME_HEAD = 9  # bytes before a payload (section 4.1)

# Frame types (section 6). Plain numbers: they index the table of handlers.
DATA = 0
HEADERS = 1
PRIORITY = 2
RST_STREAM = 3
SETTINGS = 4
PUSH_PROMISE = 5
PING = 6
GOAWAY = 7
WINDOW_UPDATE = 8
CONTINUATION = 9

# Flags (section 6). ACK has END_STREAM's bit, on other frame types.
END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
HAS_PRIORITY = 0x20


class Setting(IntEnum):
    """SETTINGS parameters (section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """Why a stream was reset or a connection closed (section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class H2ConnectionError(Exception):
    """The peer broke a rule in a way that ends the connection (section 5.4.1)."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class H2StreamError(Exception):
    """The peer broke a rule in a way that ends one stream (section 5.4.2)."""

    def __init__(self, stream_id: int, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.stream_id = stream_id
        self.code = code


# Type, flags, stream identifier, payload.
Frame = tuple[int, int, int, bytes]

_HEAD = struct.Struct(">HBBBL")  # the length's upper 16 bits, its lower 8, type, flags, stream identifier
_SETTING = struct.Struct(">HL")
_NUMBER = struct.Struct(">L")


class FrameReader:
    """Cuts a stream of bytes into whole frames, however it comes in pieces."""

    def __init__(self, max_frame_size: int = DEFAULT_MAX_FRAME_SIZE) -> None:
        self._max_frame_size = max_frame_size
        self._rest = bytearray()  # the start of a frame whose end has not come

    @property
    def pending(self) -> int:
        """Bytes of a frame whose end has not come: never more than one frame's."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that end in `data`. Raises H2ConnectionError at one that is too large."""
        at = 0
        if self._rest:
            at = self._complete(data)
            if at < 0:
                return
            whole, self._rest = bytes(self._rest), bytearray()
            yield self._frame(whole, 0)[1]
        end = len(data)
        while end - at >= FRAME_HEAD:
            after, frame = self._frame(data, at)
            if after > end:
                break
            at = after
            yield frame
        self._rest += data[at:]

    def _frame(self, data: bytes, at: int) -> tuple[int, Frame]:
        """The frame that starts at `at`, and where it ends, which may be after the data's end."""
        high, low, kind, flags, stream_id = _HEAD.unpack_from(data, at)
        size = high << 8 | low
        if size > self._max_frame_size:
            # Section 4.2 allows a stream error for some types; a peer that ignores our setting is broken.
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
        start = at + FRAME_HEAD
        end = start + size
        # Section 4.1: the identifier's highest bit is reserved and ignored.
        return end, (kind, flags, stream_id & MAX_STREAM_ID, data[start:end])

    def _complete(self, data: bytes) -> int:
        """Add to the rest what ends its frame, and no more, so that no large piece is ever moved.

        Returns where in `data` the next frame starts, -1 if this one has still not ended.
        """
        at = 0
        if len(self._rest) < FRAME_HEAD:
            at = FRAME_HEAD - len(self._rest)
            self._rest += data[:at]
            if len(self._rest) < FRAME_HEAD:
                return -1
        end, _ = self._frame(bytes(self._rest[:FRAME_HEAD]), 0)
        missing = end - len(self._rest)
        self._rest += data[at : at + missing]
        return at + missing if len(self._rest) == end else -1


def without_padding(flags: int, payload: bytes) -> bytes:
    """The payload of a DATA or HEADERS frame without its padding (section 6.1)."""
    if not flags & PADDED:
        return payload
    if not payload:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without the padding's length")
    if payload[0] >= len(payload):
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding as long as its frame")
    return payload[1 : len(payload) - payload[0]]


def read_number(payload: bytes) -> int:
    """The 32 bits at the payload's start: an error code, or a window's increment with its reserved bit."""
    number: int = _NUMBER.unpack_from(payload)[0]
    return number


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Identifiers and values of a SETTINGS frame, in their order (section 6.5.1)."""
    return _SETTING.iter_unpack(payload)


def frame_head(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """The nine bytes before a payload of `size` bytes."""
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """A whole frame."""
    return frame_head(len(payload), kind, flags, stream_id) + payload


def settings_frame(settings: dict[Setting, int]) -> bytes:
    """Our settings (section 6.5)."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in settings.items()))


def settings_ack() -> bytes:
    """Section 6.5.3."""
    return frame(SETTINGS, ACK, 0, b"")


def ping_frame(payload: bytes, *, ack: bool) -> bytes:
    """Section 6.7; `payload` is 8 bytes."""
    return frame(PING, ACK if ack else 0, 0, payload)


def goaway_frame(last_stream_id: int, code: ErrorCode, message: str = "") -> bytes:
    """Section 6.8; the message is for whoever reads traces."""
    return frame(GOAWAY, 0, 0, _NUMBER.pack(last_stream_id) + _NUMBER.pack(code) + message.encode())


def rst_stream_frame(stream_id: int, code: ErrorCode) -> bytes:
    """Section 6.4."""
    return frame(RST_STREAM, 0, stream_id, _NUMBER.pack(code))


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """Section 6.9; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, _NUMBER.pack(increment))


def header_frames(stream_id: int, block: bytes, max_frame_size: int, *, end_stream: bool) -> bytes:
    """A HEADERS frame and the CONTINUATION frames that its block needs (sections 6.2, 6.10)."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= max_frame_size:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    pieces = [block[at : at + max_frame_size] for at in range(0, len(block), max_frame_size)]
    frames = [frame(HEADERS, flags, stream_id, pieces[0])]
    frames += (frame(CONTINUATION, 0, stream_id, piece) for piece in pieces[1:-1])
    frames.append(frame(CONTINUATION, END_HEADERS, stream_id, pieces[-1]))
    return b"".join(frames)
