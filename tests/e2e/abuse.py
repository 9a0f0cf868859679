"""Clients of the picker's HTTP/2 port that mean harm, each as bytes to send on connections of its own."""

from __future__ import annotations

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode
from epp.transport.h2.limits import Limits
from tests.e2e.h2spec import (
    END,
    GET,
    HEADERS_END,
    PLAIN,
    POST,
    continuation,
    credit,
    data,
    head,
    ping,
    settings,
)
from tests.e2e.streams import METHOD

_GREETING = frames.PREFACE + settings()
_LIMITS = Limits()

# Far more than the bursts that are allowed, which grow by some hundreds a second while they are read.
_MANY = 3 * _LIMITS.early_resets.burst


def _rapid_resets() -> bytes:
    ids = range(1, 2 * _MANY, 2)
    cancel = [frames.rst_stream_frame(number, ErrorCode.CANCEL) for number in ids]
    # A method that waits for a message: whatever is answered at once is no longer early.
    call = (POST[0], POST[1], (":path", METHOD), ("content-type", "application/grpc"))
    return b"".join(
        head(call, HEADERS_END, number) + reset for number, reset in zip(ids, cancel, strict=True)
    )


def _own_resets() -> bytes:
    """Requests that make the server reset them."""
    return b"".join(
        head((*GET, ("connection", "close")), stream_id=number) for number in range(1, 2 * _MANY, 2)
    )


_LARGE_FIELD = ("x-large", "y" * (_LIMITS.header_list_bytes // 2))

# By the limit that each runs into.
FLOODS = {
    "early_resets": _rapid_resets(),
    "early_resets of the server": _own_resets(),
    "pings": ping() * _MANY,
    "settings": settings() * _MANY,
    "empty_frames": head(POST, HEADERS_END) + data(PLAIN, b"") * _MANY,
    "idle_frames": head(POST, HEADERS_END) + credit(1) * (_LIMITS.idle_frames.burst * 2),
    "continuations": head(POST, PLAIN) + continuation((), PLAIN) * (_LIMITS.continuations + 1),
    "header_block_bytes": head(POST, PLAIN) + continuation((("a", "b" * 16_000),), PLAIN) * 6,
    "header_list_bytes": head((*POST, _LARGE_FIELD), PLAIN) + continuation((_LARGE_FIELD,), HEADERS_END),
    "concurrent_streams": b"".join(
        head(POST, HEADERS_END, number) for number in range(1, 2 * _LIMITS.concurrent_streams + 4, 2)
    ),
}
FLOODS = {name: _GREETING + flood for name, flood in FLOODS.items()}

# What is broken off somewhere; whoever sends it then says no more.
UNFINISHED = (
    b"",
    frames.PREFACE[:10],
    frames.PREFACE,
    _GREETING + head(POST, PLAIN),
    _GREETING + head(POST, HEADERS_END)[:-3],
    _GREETING
    + head((*POST, ("content-type", "application/grpc")), HEADERS_END)
    + data(PLAIN, b"\0\0\0\x40\0abc"),
    _GREETING + frames.frame_head(16_384, frames.DATA, END, 1),
)
