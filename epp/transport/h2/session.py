"""The state of one connection, which the rules for its frames share, and the ends of streams and connections.

The rules are functions of a session: `data` (DATA), `headers` (HEADERS, CONTINUATION) and `control` (the
rest). `connection` reads frames and calls them. What happens is told at once: a request to `on_request`, all
else to the stream's `Receiver`, and both may answer right there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, H2ConnectionError, H2StreamError
from epp.transport.h2.header_blocks import Fields, HeaderBlock, HeaderReader
from epp.transport.h2.lifetime import Lifetime
from epp.transport.h2.limits import Floods, Limits, Tally
from epp.transport.h2.sending import Sender
from epp.transport.h2.stream import Closing, Stream, Streams

# Called with each well-formed request: its stream, its fields, and whether it has ended. It sets the stream's
# receiver, unless it has no use for the body.
OnRequest = Callable[[Stream, Fields, bool], None]

# A peer's frames for streams closed in the last round trips come late. Twice as many as can be open.
_CLOSED_PER_OPEN = 2

# What the PING carries that tells whether the peer has seen a GOAWAY: eight bytes, which it gives back.
DRAIN_PING = b"draining"


class Session:
    """One connection's state. `now` is the time of the latest call from outside."""

    __slots__ = (
        "block",
        "closed",
        "draining_since",
        "final_id",
        "floods",
        "half_window",
        "header_reader",
        "lifetime",
        "limits",
        "now",
        "on_request",
        "receive_window",
        "sender",
        "streams",
        "tally",
    )

    def __init__(self, limits: Limits, tally: Tally, now: float, on_request: OnRequest) -> None:
        self.limits = limits
        self.tally = tally
        self.now = now
        self.on_request = on_request
        self.sender = Sender(limits, tally)
        self.streams = Streams(_CLOSED_PER_OPEN * limits.concurrent_streams)
        self.header_reader = HeaderReader(limits.header_block_bytes)
        self.floods = Floods(limits, now)
        self.lifetime = Lifetime(limits, now)
        self.block: HeaderBlock | None = None  # whose CONTINUATION frames have not all come
        self.receive_window = limits.connection_window
        self.half_window = limits.stream_window // 2
        self.draining_since: float | None = None
        self.final_id: int | None = None  # the last stream of a drain: later ones are refused
        self.closed = False  # GOAWAY went out for good: nothing is read any more, what is written can be sent

    # The ends of streams (section 5.1) -------------------------------------------------------------------

    def end_remote(self, stream: Stream) -> None:
        """The request is complete."""
        stream.remote_ended = True
        if stream.local_ended:
            self.close_if_ended(stream)

    def close_if_ended(self, stream: Stream) -> None:
        """Close a stream whose two sides have ended, or whose answer is complete and its request unwanted."""
        if not stream.local_ended or stream.id not in self.streams.open:
            return
        if stream.remote_ended:
            self.close(stream, Closing.ENDED)
        elif stream.unwanted:
            # Section 8.1: a complete response, and the rest of the request is not wanted.
            self.reset(stream.id, ErrorCode.NO_ERROR)

    def close(self, stream: Stream, closing: Closing) -> None:
        """Forget a stream but for how it ended."""
        self.streams.close(stream.id, closing)
        self.sender.forget(stream)
        if not self.streams.open:
            self.lifetime.idle(self.now)
            if self.final_id is not None:
                self.closed = True  # the drain is over

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """Section 6.4: say that a stream is over, whether it was open or not."""
        self.sender.output.append(frames.rst_stream_frame(stream_id, code))
        stream = self.streams.open.get(stream_id)
        if stream is None:
            self.streams.close(stream_id, Closing.BY_US)
        else:
            self.close(stream, Closing.BY_US)

    def lose(self, stream: Stream) -> None:
        """Tell the layer above that a stream is closed before its time."""
        if stream.receiver is not None:
            stream.receiver.lost()

    def moved(self, streams: Iterable[Stream]) -> None:
        """Data went out, perhaps: tell of streams that take more, and close those that it ended."""
        for stream in streams:
            if stream.choked and stream.queue.size * 2 <= self.limits.send_queue_bytes:
                stream.choked = False
                if stream.receiver is not None:
                    stream.receiver.resumed()
            self.close_if_ended(stream)

    # Faults (section 5.4) --------------------------------------------------------------------------------

    def fail_stream(self, fault: H2StreamError) -> None:
        """Section 5.4.2. Streams that a client makes us reset cost as much as those that it resets itself."""
        stream = self.streams.open.get(fault.stream_id)
        self.reset(fault.stream_id, fault.code)
        if stream is not None:
            self.lose(stream)
        self.count("early_resets")

    def fail(self, code: ErrorCode, message: str) -> None:
        """Section 5.4.1: GOAWAY with the last stream that was looked at, and no more is read."""
        self.closed = True
        self.close_all(Closing.BY_US)
        self.sender.output.append(frames.goaway_frame(self.streams.last_id, code, message))

    def close_all(self, closing: Closing) -> None:
        """No stream can go on."""
        for stream in list(self.streams.open.values()):
            self.close(stream, closing)
            self.lose(stream)

    def fault(self, stream_id: int, code: ErrorCode, message: str) -> Exception:
        """A stream's fault if there is the stream: RST_STREAM must not be sent for an idle one."""
        if stream_id in self.streams.open:
            return H2StreamError(stream_id, code, message)
        return H2ConnectionError(code, message)

    def over(self, limit: str) -> H2ConnectionError:
        """The fault of a peer that passes this limit."""
        self.tally.limit_hit(limit)
        return H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, f"over the limit of {limit}")

    def count(self, limit: str) -> None:
        """Count one of what comes in floods. Raises H2ConnectionError at one too many."""
        if not self.floods.count(limit, self.now):
            raise self.over(limit)

    # Going away (section 6.8) ----------------------------------------------------------------------------

    def drain(self) -> None:
        """Say that no more streams will be taken: a GOAWAY for no stream in particular.

        Once the peer has seen it, which a PING tells, `end_drain` says which stream was the last.
        """
        if self.draining_since is None and not self.closed:
            self.draining_since = self.now
            self.sender.output += (
                frames.goaway_frame(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR),
                frames.ping_frame(DRAIN_PING, ack=False),
            )

    def end_drain(self) -> None:
        """Refuse later streams; the connection is closed when the open ones are done."""
        if self.draining_since is not None and self.final_id is None:
            self.final_id = self.streams.last_id
            self.sender.output.append(frames.goaway_frame(self.final_id, ErrorCode.NO_ERROR))
            self.closed = not self.streams.open
