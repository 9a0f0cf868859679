"""Frames of HTTP/2, cut from bytes and written to bytes (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
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

Buffer = bytes | memoryview

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

PRIORITY_SIZE = 5  # bytes (section 6.3)

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


# A head's length and type, flags, stream identifier (section 4.1).
HEAD = struct.Struct(">LBL")
_SETTING = struct.Struct(">HL")
_NUMBER = struct.Struct(">L")


class PartialFrame:
    """The start of a frame whose end has not come: never more than one frame's bytes."""

    __slots__ = ("_max_frame_size", "_start", "whole")

    def __init__(self, max_frame_size: int) -> None:
        self._max_frame_size = max_frame_size
        self._start = bytearray()
        self.whole = False

    def __len__(self) -> int:
        return len(self._start)

    def begin(self, data: bytes) -> None:
        """Keep what follows the last whole frame."""
        self._start += data

    def complete(self, data: bytes) -> int:
        """Add what ends the frame and no more, so that no large piece is moved; returns how much it took.

        Then the frame is `whole`, or all of the data was taken. Raises H2ConnectionError at one too large.
        """
        at = self._grow(data, 0, FRAME_HEAD)
        if len(self._start) >= FRAME_HEAD:
            size = FRAME_HEAD + payload_size(self._start, 0, self._max_frame_size)
            at = self._grow(data, at, size)
            self.whole = len(self._start) == size
        return at

    def _grow(self, data: bytes, at: int, size: int) -> int:
        after = at + max(0, size - len(self._start))
        self._start += data[at:after]
        return min(after, len(data))

    def take(self) -> bytes:
        """The whole frame, which is then forgotten."""
        frame, self._start, self.whole = bytes(self._start), bytearray(), False
        return frame


def payload_size(data: bytes | bytearray, at: int, max_frame_size: int) -> int:
    """The size in the head of a frame (section 4.2). Raises H2ConnectionError if it is too large.

    Section 4.2 allows a stream error for some types; a peer that ignores our setting is broken.
    """
    size = int.from_bytes(data[at : at + 3], "big")
    if size > max_frame_size:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
    return size


def without_padding(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Where a padded payload's own bytes start and end (section 6.1)."""
    if start == end:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without the padding's length")
    padding = data[start]
    if padding >= end - start:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding as long as its frame")
    return start + 1, end - padding


def priority_flaw(stream_id: int, priority: bytes) -> str:
    """RFC 7540, section 5.3.1, which RFC 9113 leaves out and conformance checkers still ask for."""
    depends_on = read_number(priority) & MAX_STREAM_ID
    return "a stream that depends on itself" if depends_on == stream_id else ""


def read_number(payload: bytes) -> int:
    """The 32 bits at the payload's start: an error code, or a window's increment with its reserved bit."""
    number: int = _NUMBER.unpack_from(payload)[0]
    return number


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Identifiers and values of a SETTINGS frame, in their order (section 6.5.1)."""
    return _SETTING.iter_unpack(payload)


def frame_head(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """The nine bytes before a payload of `size` bytes."""
    return HEAD.pack(size << 8 | kind, flags, stream_id)


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


def data_frames(stream_id: int, pieces: Sequence[Buffer], size: int, max_frame_size: int) -> list[Buffer]:
    """DATA frames for pieces of `size` bytes in all, in as many pieces as it takes; nothing is copied."""
    written: list[Buffer] = []
    room = 0  # in the frame at the end
    for piece in pieces:
        if len(piece) <= room:
            written.append(piece)
            room -= len(piece)
            continue
        view, at = memoryview(piece), 0
        while at < len(view):
            if not room:
                room = min(size, max_frame_size)
                size -= room
                written.append(frame_head(room, DATA, 0, stream_id))
            part = view[at : at + room]
            written.append(part)
            at += len(part)
            room -= len(part)
    return written


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
