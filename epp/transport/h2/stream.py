"""Streams: the state of one, those of a connection, the memory of closed ones (RFC 9113, section 5.1).

A stream exists from its HEADERS until both sides have ended it or one has reset it. What section 5.1 calls
"half-closed (remote)" is `remote_ended`, "half-closed (local)" is `local_ended`, "closed" is not existing.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Protocol

from epp.transport.h2.flow import SendQueue
from epp.transport.h2.frames import ErrorCode, H2ConnectionError, H2StreamError
from epp.transport.h2.header_blocks import Fields


class Receiver(Protocol):
    """Who handles a request: the layer above, as one stream sees it. It may answer at once."""

    def received(self, data: bytes, start: int, end: int, ended: bool) -> None:
        """`data[start:end]` is a piece of the request's body; empty where only its end came."""

    def resumed(self) -> None:
        """The stream was choked, and may be written to again."""

    def lost(self) -> None:
        """The peer gave the stream up, or broke a rule: nothing can be sent on it any more."""


class Stream:
    """A stream that is not closed. Windows in bytes; a send window may be negative (section 6.9.2)."""

    __slots__ = (
        "answered",
        "behind",
        "choked",
        "content_left",
        "ending",
        "held",
        "id",
        "local_ended",
        "moved_at",
        "queue",
        "receive_window",
        "receiver",
        "remote_ended",
        "send_window",
        "trailers",
        "unwanted",
    )

    def __init__(
        self, stream_id: int, send_window: int, receive_window: int, content_left: int | None
    ) -> None:
        self.id = stream_id
        self.remote_ended = False
        self.local_ended = False
        self.receiver: Receiver | None = None  # none: what comes is of no interest

        self.receive_window = receive_window
        self.behind = False  # the layer above has not digested what came: no credit for now
        self.content_left = content_left  # what its content-length still promises

        self.send_window = send_window
        self.queue = SendQueue()
        self.held = 0  # how much of the queue the tally knows of
        self.choked = False  # the queue is over its bound, and the layer above waits to be told
        self.moved_at = 0.0  # when the queue last gave something away, or got its first piece
        self.answered = False  # HEADERS went out
        self.ending = False  # nothing more will be queued; trailers follow, if there are any
        self.trailers: Fields = ()
        self.unwanted = False  # once our side has ended, the request's rest is of no use

    def __repr__(self) -> str:
        ends = {
            (False, False): "open",
            (True, False): "half-closed (remote)",
            (False, True): "half-closed (local)",
        }
        state = ends.get((self.remote_ended, self.local_ended), "closed")
        return f"<Stream {self.id} {state} {self.queue!r}>"


class Closing(Enum):
    """How a stream was closed: section 5.1 treats late frames differently."""

    BY_US = "we reset it"
    BY_PEER = "the peer reset it"
    ENDED = "both sides ended it"


class ClosedStreams:
    """The latest closed streams, at most `memory` of them."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._closed: OrderedDict[int, Closing] = OrderedDict()
        self._forgotten = 0  # the highest identifier that was dropped

    def add(self, stream_id: int, closing: Closing) -> None:
        """Remember one; what is said of a stream last counts."""
        self._closed[stream_id] = closing
        if len(self._closed) > self._memory:
            oldest, _ = self._closed.popitem(last=False)
            self._forgotten = max(self._forgotten, oldest)

    def how(self, stream_id: int) -> Closing | None:
        """How it was closed; None if it never was open: a later identifier skipped it (section 5.1.1).

        What was forgotten counts as closed by the peer, for which late frames cost the stream alone.
        """
        closing = self._closed.get(stream_id)
        return Closing.BY_PEER if closing is None and stream_id <= self._forgotten else closing


class Streams:
    """The streams of one connection by their identifiers."""

    def __init__(self, memory: int) -> None:
        """Remembers how the latest `memory` streams were closed."""
        self.open: dict[int, Stream] = {}
        self.last_id = 0  # the highest identifier that the peer has used
        self._closed = ClosedStreams(memory)

    def close(self, stream_id: int, closing: Closing) -> None:
        """Take a stream out, if it is there, and remember how it ended."""
        self._closed.add(stream_id, closing)
        stream = self.open.pop(stream_id, None)
        if stream is not None:
            stream.local_ended = stream.remote_ended = True

    def check_not_idle(self, stream_id: int) -> None:
        """Section 5.1, idle: only HEADERS and PRIORITY may come. Stream 0 and even ones are never opened."""
        if stream_id > self.last_id or not stream_id & 1:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame for an idle stream")

    def check_late(self, stream_id: int) -> None:
        """DATA or HEADERS for a stream that is not open (section 5.1, idle and closed); may be ignored."""
        self.check_not_idle(stream_id)
        match self._closed.how(stream_id):
            case Closing.BY_US:
                return  # it was under way when we reset the stream
            case Closing.BY_PEER:
                raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED, "a frame after RST_STREAM")
            case Closing.ENDED:
                raise H2ConnectionError(ErrorCode.STREAM_CLOSED, "a frame after END_STREAM")
            case None:
                # Section 5.1.1: it was closed by the first use of a higher identifier.
                raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "identifiers of streams must grow")
