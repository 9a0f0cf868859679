"""One HTTP/2 connection of a server (RFC 9113): bytes in, events and bytes out.

`receive` takes what the socket gave and returns what happened; the methods below it say what the server
answers; `take_output` gives what is to be written. `tick` is called now and then for what time brings.
Frames of each type have one handler, in the order of section 6, which holds the rules for that type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from epp.transport.h2 import frames
from epp.transport.h2.flow import Buffer
from epp.transport.h2.frames import ErrorCode, H2ConnectionError, H2StreamError, Setting
from epp.transport.h2.header_blocks import Fields, HeaderReader, list_size
from epp.transport.h2.lifetime import Lifetime
from epp.transport.h2.limits import Floods, Limits, Tally
from epp.transport.h2.requests import content_length, request_flaw, trailers_flaw
from epp.transport.h2.sending import Sender
from epp.transport.h2.stream import Closing, Stream, Streams


class RequestReceived(NamedTuple):
    """A well-formed request has begun; more of it follows unless it has `ended`."""

    stream: Stream
    fields: Fields
    ended: bool


class DataReceived(NamedTuple):
    """A piece of the request's body; empty where only its end came. Credit is due for it (`credit`)."""

    stream: Stream
    data: bytes
    ended: bool


class CreditReceived(NamedTuple):
    """A stream that was choked may be written to again."""

    stream: Stream


class StreamLost(NamedTuple):
    """The peer gave the stream up, or broke a rule: nothing can be sent on it any more."""

    stream: Stream


Event = RequestReceived | DataReceived | CreditReceived | StreamLost


class _Block(NamedTuple):
    """A header block whose CONTINUATION frames have not all come."""

    stream_id: int
    end_stream: bool
    flaw: str
    pieces: list[bytes]


# The answer to a request whose fields are more than we announced (RFC 6585, section 5).
_TOO_LARGE: Fields = ((b":status", b"431"),)

# A peer's frames for streams closed in the last round trips come late. Twice as many as can be open.
_CLOSED_PER_OPEN = 2

_DRAIN_PING = b"draining"  # eight bytes, given back by the peer
_ALIVE_PING = b"alive?  "


class Connection:
    """The server's side of a connection. `now` is in seconds of any monotonic clock, everywhere."""

    def __init__(self, limits: Limits, tally: Tally, now: float) -> None:
        self._limits = limits
        self._tally = tally
        self._sender = Sender(limits, tally)
        self._frames = frames.FrameReader(limits.frame_bytes)
        self._reader = HeaderReader(limits.header_block_bytes)
        self._streams = Streams(_CLOSED_PER_OPEN * limits.concurrent_streams)
        self._floods = Floods(limits, now)
        self._lifetime = Lifetime(limits, now)
        self._final_id: int | None = None  # the last one of a drain: later streams are refused
        self._block: _Block | None = None
        self._receive_window = limits.connection_window
        self._owed = 0
        self._events: list[Event] = []
        self._now = now

        self.closed = False  # GOAWAY went out for good: nothing is read any more, what is written can be sent
        self._draining_since: float | None = None
        self._preface = bytearray()
        self._greeted = False  # the peer's preface and its SETTINGS came

        self._handlers = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_rst_stream,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
        )
        self._greet()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "draining" if self._draining_since is not None else "open"
        return f"<Connection {state} {len(self._streams.open)} streams, last {self._streams.last_id}>"

    @property
    def streams(self) -> list[Stream]:
        """The streams that are not closed."""
        return list(self._streams.open.values())

    # What comes in ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> list[Event]:
        """What the peer's bytes mean. Never raises: a peer's faults end its streams or the connection."""
        if self.closed:
            return []
        self._now = now
        self._lifetime.heard(now)
        if not self._frames.pending and self._block is None:
            self._lifetime.whole(now)
        try:
            if len(self._preface) < len(frames.PREFACE):
                data = self._without_preface(data)
            for kind, flags, stream_id, payload in self._frames.feed(data):
                if self._block is None:
                    self._lifetime.whole(now)
                try:
                    self._handle(kind, flags, stream_id, payload)
                except H2StreamError as fault:
                    self._fail_stream(fault)
        except H2ConnectionError as fault:
            self._fail(fault.code, fault.message)
        return self._take_events()

    def _greet(self) -> None:
        """Section 3.4: our preface is our SETTINGS. The connection's window is not among them (6.9.2)."""
        limits = self._limits
        self._sender.output.append(
            frames.settings_frame(
                {
                    Setting.MAX_CONCURRENT_STREAMS: limits.concurrent_streams,
                    Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
                    Setting.MAX_FRAME_SIZE: limits.frame_bytes,
                    Setting.MAX_HEADER_LIST_SIZE: limits.header_list_bytes,
                }
            )
            + frames.window_update_frame(0, limits.connection_window - frames.DEFAULT_WINDOW)
        )

    def _without_preface(self, data: bytes) -> bytes:
        """Section 3.4: the client's preface, and what follows it."""
        missing = len(frames.PREFACE) - len(self._preface)
        self._preface += data[:missing]
        if not frames.PREFACE.startswith(self._preface):
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
        return data[missing:]

    def _handle(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            # Section 6.10: nothing may come between the frames of a header block.
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame amid a header block")
        if not self._greeted:
            # Section 3.4: the client's preface ends with its SETTINGS.
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._greeted = True
        if kind < len(self._handlers):
            self._handlers[kind](flags, stream_id, payload)
        else:
            self._count("idle_frames")  # section 5.5: unknown types are ignored

    # Section 6.1
    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "DATA for stream 0")
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")
        # The connection's credit comes back whatever becomes of the data (section 6.9): what the server holds
        # is bounded by the streams' windows and by the tally.
        self._owed += size
        if self._owed * 2 >= self._limits.connection_window:
            self._receive_window += self._owed
            self._sender.output.append(frames.window_update_frame(0, self._owed))
            self._owed = 0

        ended = bool(flags & frames.END_STREAM)
        data = frames.without_padding(flags, payload) if flags & frames.PADDED else payload
        if not data and not ended:
            self._count("empty_frames")
        stream = self._streams.open.get(stream_id)
        if stream is None:
            self._streams.check_late(stream_id)
            self._count("idle_frames")
            return
        if stream.remote_ended:  # section 5.1, half-closed (remote)
            raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED, "DATA after END_STREAM")
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise H2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window")
        if stream.content_left is not None:  # section 8.1.1
            stream.content_left -= len(data)
            if stream.content_left < 0 or (ended and stream.content_left):
                raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "the content-length is wrong")
        if size > len(data):
            self.credit(stream, size - len(data))  # padding is digested
        if ended:
            self._end_remote(stream)
        self._events.append(DataReceived(stream, data, ended))

    # Section 6.2
    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id & 1:
            # Section 5.1.1: streams of clients are odd; 0 is the connection.
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS for a stream that is no client's")
        block, flaw = payload, ""
        if flags & frames.PADDED:
            block = frames.without_padding(flags, payload)
        if flags & frames.HAS_PRIORITY:
            if len(payload) < _PRIORITY_SIZE:
                raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            if len(block) < _PRIORITY_SIZE:
                raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding as long as its frame")
            flaw = _priority_flaw(stream_id, block)
            block = block[_PRIORITY_SIZE:]
        end_stream = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._header_block(stream_id, end_stream, block, flaw)
        else:
            self._block = _Block(stream_id, end_stream, flaw, [block])

    # Section 6.3: deprecated and ignored.
    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PRIORITY for stream 0")
        if len(payload) != _PRIORITY_SIZE:
            raise self._fault(stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a wrong size")
        if flaw := _priority_flaw(stream_id, payload):
            raise self._fault(stream_id, ErrorCode.PROTOCOL_ERROR, flaw)
        self._count("idle_frames")

    # Section 6.4
    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        stream = self._streams.open.get(stream_id)
        if stream is None:
            self._streams.check_not_idle(stream_id)
            self._count("idle_frames")
            return
        self._close(stream, Closing.BY_PEER)
        self._events.append(StreamLost(stream))
        if not stream.answered:
            self._count("early_resets")

    # Section 6.5
    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS for a stream")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        self._count("settings")
        if flags & frames.ACK:
            return  # what our settings bound was bounded already, from the greeting on
        change = sum([self._sender.apply(*item) for item in frames.read_settings(payload)])
        if change:
            self._change_windows(change)
        self._sender.output.append(frames.settings_ack())

    # Section 6.6
    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    # Section 6.7
    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PING for a stream")
        if len(payload) != 8:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong size")
        self._count("pings")
        if not flags & frames.ACK:
            self._sender.output.append(frames.ping_frame(payload, ack=True))
        elif payload == _DRAIN_PING:
            self._end_drain()

    # Section 6.8: a client that goes away opens no more streams; the open ones go on.
    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "GOAWAY for a stream")
        if len(payload) < 8:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY too short")
        self._count("idle_frames")

    # Section 6.9
    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        self._count("idle_frames")
        increment = frames.read_number(payload) & frames.MAX_WINDOW
        if not stream_id:
            if not increment:
                raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a credit of 0")
            if self._sender.credit(increment):
                self._moved(self._sender.move_all(self._now))
            return
        stream = self._streams.open.get(stream_id)
        if stream is None:
            self._streams.check_not_idle(stream_id)  # section 5.1, closed: late credit is ignored
            return
        if not increment:
            raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "a credit of 0")
        self._sender.credit_stream(stream, increment, self._now)
        self._moved([stream])

    # Section 6.10
    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or block.stream_id != stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of no header block")
        block.pieces.append(payload)
        if len(block.pieces) > self._limits.continuations + 1:
            raise self._over("continuations")
        if sum(map(len, block.pieces)) > self._limits.header_block_bytes:
            raise self._over("header_block_bytes")
        if flags & frames.END_HEADERS:
            self._block = None
            self._header_block(stream_id, block.end_stream, b"".join(block.pieces), block.flaw)

    # Requests --------------------------------------------------------------------------------------------

    def _header_block(self, stream_id: int, end_stream: bool, block: bytes, flaw: str) -> None:
        """Section 8.1: a whole header block begins a request or, as trailers, ends one."""
        fields = self._reader.read(block)  # first, whatever follows: section 4.3
        stream = self._streams.open.get(stream_id)
        if stream is not None:
            self._trailers(stream, end_stream, fields)
        elif stream_id <= self._streams.last_id:
            self._streams.check_late(stream_id)
            self._count("idle_frames")
        else:
            self._streams.last_id = stream_id
            self._request(stream_id, end_stream, fields, flaw or request_flaw(fields))

    def _request(self, stream_id: int, end_stream: bool, fields: Fields, flaw: str) -> None:
        if self._final_id is not None:
            # Section 6.8: it came after our last GOAWAY said that it would not be served.
            self._reset(stream_id, ErrorCode.REFUSED_STREAM)
            return
        if flaw:
            raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, flaw)
        if len(self._streams.open) >= self._limits.concurrent_streams:  # section 5.1.2
            self._tally.limit_hit("concurrent_streams")
            raise H2StreamError(stream_id, ErrorCode.REFUSED_STREAM, "too many streams")
        length = content_length(fields)
        if end_stream and length:  # section 8.1.1
            raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "the content-length is wrong")
        stream = Stream(stream_id, self._sender.initial_window, self._limits.stream_window, length)
        stream.remote_ended = end_stream
        self._streams.open[stream_id] = stream
        if list_size(fields) > self._limits.header_list_bytes:
            self._tally.limit_hit("header_list_bytes")
            self.respond(stream, _TOO_LARGE)
            self.end(stream)
        else:
            self._events.append(RequestReceived(stream, fields, end_stream))

    def _trailers(self, stream: Stream, end_stream: bool, fields: Fields) -> None:
        if stream.remote_ended:  # section 5.1, half-closed (remote)
            raise H2StreamError(stream.id, ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM")
        if not end_stream:
            raise H2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM")
        if flaw := trailers_flaw(fields):
            raise H2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, flaw)
        if stream.content_left:
            raise H2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "the content-length is wrong")
        self._end_remote(stream)
        self._events.append(DataReceived(stream, b"", True))

    # Streams ---------------------------------------------------------------------------------------------

    def _end_remote(self, stream: Stream) -> None:
        stream.remote_ended = True
        self._close_if_ended(stream)

    def _close_if_ended(self, stream: Stream) -> None:
        if not stream.local_ended or stream.id not in self._streams.open:
            return
        if stream.remote_ended:
            self._close(stream, Closing.ENDED)
        elif stream.unwanted:
            # Section 8.1: a complete response, and the rest of the request is not wanted.
            self._reset(stream.id, ErrorCode.NO_ERROR)

    def _close(self, stream: Stream, closing: Closing) -> None:
        self._streams.close(stream.id, closing)
        self._sender.forget(stream)
        if not self._streams.open:
            self._lifetime.idle(self._now)
            if self._final_id is not None:
                self.closed = True  # the drain is over

    def _reset(self, stream_id: int, code: ErrorCode) -> None:
        """Section 6.4."""
        self._sender.output.append(frames.rst_stream_frame(stream_id, code))
        stream = self._streams.open.get(stream_id)
        if stream is None:
            self._streams.close(stream_id, Closing.BY_US)
        else:
            self._close(stream, Closing.BY_US)

    def _fail_stream(self, fault: H2StreamError) -> None:
        """Section 5.4.2. Streams that a client makes us reset cost as much as those that it resets itself."""
        stream = self._streams.open.get(fault.stream_id)
        self._reset(fault.stream_id, fault.code)
        if stream is not None:
            self._events.append(StreamLost(stream))
        self._count("early_resets")

    def _fail(self, code: ErrorCode, message: str) -> None:
        """Section 5.4.1: GOAWAY with the last stream that was looked at, and no more is read."""
        self.closed = True
        for stream in list(self._streams.open.values()):
            self._close(stream, Closing.BY_US)
            self._events.append(StreamLost(stream))
        self._sender.output.append(frames.goaway_frame(self._streams.last_id, code, message))

    def _fault(self, stream_id: int, code: ErrorCode, message: str) -> Exception:
        """A stream's fault if there is the stream: RST_STREAM must not be sent for an idle one."""
        if stream_id in self._streams.open:
            return H2StreamError(stream_id, code, message)
        return H2ConnectionError(code, message)

    def _over(self, limit: str) -> H2ConnectionError:
        self._tally.limit_hit(limit)
        return H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, f"over the limit of {limit}")

    def _count(self, limit: str) -> None:
        if not self._floods.count(limit, self._now):
            raise self._over(limit)

    # Credit ----------------------------------------------------------------------------------------------

    def _change_windows(self, change: int) -> None:
        """Section 6.9.2: INITIAL_WINDOW_SIZE changes the windows of open streams too."""
        for stream in list(self._streams.open.values()):
            try:
                self._sender.credit_stream(stream, change, self._now)
            except H2StreamError as fault:
                raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, str(fault)) from fault
            self._moved([stream])

    def _moved(self, streams: Sequence[Stream]) -> None:
        """Data went out, perhaps: tell of streams that take more, and of those that it ended."""
        for stream in streams:
            if stream.choked and stream.queue.size * 2 <= self._limits.send_queue_bytes:
                stream.choked = False
                self._events.append(CreditReceived(stream))
            self._close_if_ended(stream)

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    # What the server answers -----------------------------------------------------------------------------

    def take_output(self) -> list[Buffer]:
        """The bytes that are to be written to the peer now."""
        return self._sender.take()

    def respond(self, stream: Stream, fields: Fields) -> None:
        """Send a response's fields. Like all that follows, nothing if the stream is closed."""
        if not stream.local_ended:
            self._sender.headers(stream, fields, end_stream=False)

    def send(self, stream: Stream, pieces: Sequence[Buffer], now: float) -> None:
        """Send pieces of a response's body; those without credit are queued, without a bound here.

        If `stream.choked` is then set, the caller should wait for CreditReceived.
        """
        if not stream.local_ended and not stream.ending:
            self._sender.data(stream, pieces, now)

    def end(self, stream: Stream, trailers: Fields = (), *, unwanted: bool = False) -> None:
        """End the response, behind what is queued. Trailers alone, without `respond`, are a whole response.

        `unwanted`: should the request go on, the peer is told to stop; otherwise it is read to its end.
        """
        if not stream.local_ended and not stream.ending:
            stream.unwanted = unwanted
            self._sender.end(stream, trailers, self._now)
            self._close_if_ended(stream)

    def abandon(self) -> list[Event]:
        """The peer is gone: so are all its streams."""
        self.closed = True
        for stream in list(self._streams.open.values()):
            self._close(stream, Closing.BY_PEER)
            self._events.append(StreamLost(stream))
        return self._take_events()

    def credit(self, stream: Stream, size: int) -> None:
        """Bytes of this stream are digested: as many more may come (section 6.9)."""
        stream.owed += size
        if stream.owed * 2 >= self._limits.stream_window and not stream.remote_ended:
            stream.receive_window += stream.owed
            self._sender.output.append(frames.window_update_frame(stream.id, stream.owed))
            stream.owed = 0

    def hold(self, held: bool, now: float) -> list[Event]:
        """Stop sending data while the edge cannot take it, and go on after."""
        self._now = now
        self._sender.held = held
        if not held and not self.closed:
            self._moved(self._sender.move_all(now))
        return self._take_events()

    # Time ------------------------------------------------------------------------------------------------

    def drain(self, now: float) -> None:
        """Take no more streams and let the open ones finish; then the connection is `closed`.

        Section 6.8: first a GOAWAY for no stream in particular, and once the peer has seen it, which a PING
        tells, the one with the last stream that is served.
        """
        if self._draining_since is None and not self.closed:
            self._draining_since = self._now = now
            self._sender.output.append(
                frames.goaway_frame(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR)
                + frames.ping_frame(_DRAIN_PING, ack=False)
            )

    def _end_drain(self) -> None:
        if self._draining_since is not None and self._final_id is None:
            self._final_id = self._streams.last_id
            self._sender.output.append(frames.goaway_frame(self._streams.last_id, ErrorCode.NO_ERROR))
            self.closed = not self._streams.open

    def tick(self, now: float) -> list[Event]:
        """What time brings: the ends of handshakes, unfinished frames, silence and stalled streams."""
        if self.closed:
            return []
        self._now = now
        unfinished = self._frames.pending > 0 or self._block is not None
        if limit := self._lifetime.overdue(now, greeted=self._greeted, unfinished=unfinished):
            self._tally.limit_hit(limit)
            self._fail(ErrorCode.ENHANCE_YOUR_CALM, f"over the limit of {limit}")
            return self._take_events()
        if self._lifetime.ask(now):
            self._sender.output.append(frames.ping_frame(_ALIVE_PING, ack=False))
        if not self._streams.open and self._draining_since is None and self._lifetime.unused(now):
            self._tally.limit_hit("idle")
            self.drain(now)
        if self._draining_since is not None and now - self._draining_since > _DRAIN_PATIENCE:
            self._end_drain()
        for stream in list(self._streams.open.values()):
            if stream.queue.size and now - stream.moved_at > self._limits.stalled:
                self._tally.limit_hit("stalled")
                self._reset(stream.id, ErrorCode.ENHANCE_YOUR_CALM)
                self._events.append(StreamLost(stream))
        return self._take_events()


_PRIORITY_SIZE = 5

# How long a peer may take to see a GOAWAY, in seconds; grpc's servers wait as long.
_DRAIN_PATIENCE = 1.0


def _priority_flaw(stream_id: int, priority: bytes) -> str:
    """RFC 7540, section 5.3.1, which RFC 9113 leaves out and conformance checkers still ask for."""
    depends_on = frames.read_number(priority) & frames.MAX_STREAM_ID
    return "a stream that depends on itself" if depends_on == stream_id else ""
