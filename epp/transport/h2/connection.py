"""One HTTP/2 connection of a server (RFC 9113): the way in and out of the pure core.

`receive` takes what the socket gave, and tells the layer above what it means while it reads (see `session`);
the methods below it say what the server answers; `take_output` gives what is to be written. `tick` is called
now and then for what time brings.
"""

from __future__ import annotations

from collections.abc import Sequence

from epp.transport.h2 import control, frames, headers
from epp.transport.h2.data import on_data, open_stream_window
from epp.transport.h2.frames import Buffer, ErrorCode, H2ConnectionError, H2StreamError, Setting
from epp.transport.h2.header_blocks import Fields
from epp.transport.h2.limits import Limits, Tally
from epp.transport.h2.session import OnRequest, Session
from epp.transport.h2.stream import Closing, Stream

# The rules for each type of frame but DATA, whose payload is not cut out.
_RULES = {
    frames.HEADERS: headers.on_headers,
    frames.PRIORITY: control.on_priority,
    frames.RST_STREAM: control.on_rst_stream,
    frames.SETTINGS: control.on_settings,
    frames.PUSH_PROMISE: control.on_push_promise,
    frames.PING: control.on_ping,
    frames.GOAWAY: control.on_goaway,
    frames.WINDOW_UPDATE: control.on_window_update,
    frames.CONTINUATION: headers.on_continuation,
}

# How long a peer may take to see a GOAWAY, in seconds; grpc's servers wait as long.
_DRAIN_PATIENCE = 1.0

_ALIVE_PING = b"alive?  "  # eight bytes


class Connection:
    """The server's side of a connection. `now` is in seconds of any monotonic clock, everywhere."""

    def __init__(self, limits: Limits, tally: Tally, now: float, on_request: OnRequest) -> None:
        self._limits = limits
        self._session = Session(limits, tally, now, on_request)
        self._preface = bytearray()
        self._greeted = False  # the peer's preface and its SETTINGS came
        self._partial = frames.PartialFrame(limits.frame_bytes)
        self._greet()

    def __repr__(self) -> str:
        session = self._session
        state = "closed" if self.closed else "draining" if session.draining_since is not None else "open"
        return f"<Connection {state} {len(session.streams.open)} streams, last {session.streams.last_id}>"

    @property
    def closed(self) -> bool:
        """GOAWAY went out for good: nothing is read any more, what is written can be sent."""
        return self._session.closed

    @property
    def streams(self) -> list[Stream]:
        """The streams that are not closed."""
        return list(self._session.streams.open.values())

    # What comes in ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Act on the peer's bytes. Never raises: a peer's faults end its streams or the connection."""
        session = self._session
        if session.closed:
            return
        session.now = now
        session.lifetime.heard(now)
        try:
            self._read(data)
        except H2ConnectionError as fault:
            session.fail(fault.code, fault.message)

    def _read(self, data: bytes) -> None:
        """Cut bytes into frames, however they come in pieces."""
        partial = self._partial
        at = 0
        if len(self._preface) < len(frames.PREFACE):
            at = self._read_preface(data)
        if partial:
            at = partial.complete(data)
            if not partial.whole:
                return
            self._read_frames(partial.take(), 0)
        elif self._session.block is None:
            self._session.lifetime.whole(self._session.now)
        after = self._read_frames(data, at)
        if after < len(data):
            partial.begin(data[after:])

    def _read_frames(self, data: bytes, at: int) -> int:
        """Handle the whole frames from `at` on; returns where they end (section 4.1)."""
        session = self._session
        unpack, largest, size = frames.HEAD.unpack_from, self._limits.frame_bytes, len(data)
        first = at
        while size - at >= frames.FRAME_HEAD:
            length_and_kind, flags, stream_id = unpack(data, at)
            start = at + frames.FRAME_HEAD
            end = start + (length_and_kind >> 8)
            if end - start > largest:
                frames.payload_size(data, at, largest)
            if end > size:
                break
            at = end
            kind = length_and_kind & 0xFF
            stream_id &= frames.MAX_STREAM_ID  # the highest bit is reserved and ignored
            if session.block is not None or not self._greeted:
                self._check_order(kind, flags)
            try:
                if kind == frames.DATA:
                    on_data(session, flags, stream_id, data, start, end)
                elif (rule := _RULES.get(kind)) is not None:
                    rule(session, flags, stream_id, data[start:end])
                else:
                    session.count("idle_frames")  # section 5.5: unknown types are ignored
            except H2StreamError as fault:
                session.fail_stream(fault)
        if at > first and session.block is None:
            session.lifetime.whole(session.now)
        return at

    def _check_order(self, kind: int, flags: int) -> None:
        """The two places where only one type of frame may come."""
        if self._session.block is not None and kind != frames.CONTINUATION:
            # Section 6.10: nothing may come between the frames of a header block.
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame amid a header block")
        if not self._greeted:
            # Section 3.4: the client's preface ends with its SETTINGS.
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._greeted = True

    def _read_preface(self, data: bytes) -> int:
        """Section 3.4: the client's preface; returns where it ends."""
        missing = len(frames.PREFACE) - len(self._preface)
        self._preface += data[:missing]
        if not frames.PREFACE.startswith(self._preface):
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
        return min(missing, len(data))

    # What the server answers -----------------------------------------------------------------------------

    def _greet(self) -> None:
        """Section 3.4: our preface is our SETTINGS. The connection's window is not among them (6.9.2)."""
        limits = self._limits
        self._session.sender.output += (
            frames.settings_frame(
                {
                    Setting.MAX_CONCURRENT_STREAMS: limits.concurrent_streams,
                    Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
                    Setting.MAX_FRAME_SIZE: limits.frame_bytes,
                    Setting.MAX_HEADER_LIST_SIZE: limits.header_list_bytes,
                }
            ),
            frames.window_update_frame(0, limits.connection_window - frames.DEFAULT_WINDOW),
        )

    def take_output(self) -> list[Buffer]:
        """The bytes that are to be written to the peer now."""
        return self._session.sender.take()

    def respond(self, stream: Stream, fields: Fields) -> None:
        """Send a response's fields. Like all that follows, nothing if the stream is closed."""
        if not stream.local_ended:
            self._session.sender.headers(stream, fields, end_stream=False)

    def send(self, stream: Stream, pieces: Sequence[Buffer]) -> None:
        """Send pieces of a response's body; those without credit are queued, without a bound here.

        If `stream.choked` is then set, the caller should wait until its receiver is `resumed`.
        """
        if not stream.local_ended and not stream.ending:
            self._session.sender.data(stream, pieces, self._session.now)

    def end(self, stream: Stream, trailers: Fields = (), *, unwanted: bool = False) -> None:
        """End the response, behind what is queued. Trailers alone, without `respond`, are a whole response.

        `unwanted`: should the request go on, the peer is told to stop; otherwise it is read to its end.
        """
        if not stream.local_ended and not stream.ending:
            stream.unwanted = unwanted
            self._session.sender.end(stream, trailers, self._session.now)
            self._session.close_if_ended(stream)

    def caught_up(self, stream: Stream) -> None:
        """What came on this stream is digested: it is no longer `behind`."""
        stream.behind = False
        open_stream_window(self._session, stream)

    def hold(self, held: bool, now: float) -> None:
        """Stop sending data while the edge cannot take it, and go on after."""
        session = self._session
        session.now = now
        session.sender.held = held
        if not held and not session.closed:
            session.moved(session.sender.move_all(now))

    def abandon(self) -> None:
        """The peer is gone: so are all its streams."""
        self._session.closed = True
        self._session.close_all(Closing.BY_PEER)

    # Time ------------------------------------------------------------------------------------------------

    def drain(self, now: float) -> None:
        """Take no more streams and let the open ones finish; then the connection is `closed`."""
        self._session.now = now
        self._session.drain()

    def tick(self, now: float) -> None:
        """What time brings: the ends of handshakes, unfinished frames, silence and stalled streams."""
        session = self._session
        if session.closed:
            return
        session.now = now
        unfinished = len(self._partial) > 0 or session.block is not None
        if limit := session.lifetime.overdue(now, greeted=self._greeted, unfinished=unfinished):
            fault = session.over(limit)
            session.fail(fault.code, fault.message)
            return
        if session.lifetime.ask(now):
            session.sender.output.append(frames.ping_frame(_ALIVE_PING, ack=False))
        if not session.streams.open and session.draining_since is None and session.lifetime.unused(now):
            session.tally.limit_hit("idle")
            session.drain()
        if session.draining_since is not None and now - session.draining_since > _DRAIN_PATIENCE:
            session.end_drain()
        for stream in self.streams:
            if stream.queue.size and now - stream.moved_at > self._limits.stalled:
                session.tally.limit_hit("stalled")
                session.reset(stream.id, ErrorCode.ENHANCE_YOUR_CALM)
                session.lose(stream)
