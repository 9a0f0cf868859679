"""The sending half of a connection: every byte that goes out, and the credit that data needs.

DATA is sent while the peer's windows have room (RFC 9113, section 5.2): the stream's and the connection's.
The rest waits in the stream's queue. All other frames need no credit and go out at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from epp.transport.h2 import frames
from epp.transport.h2.frames import Buffer, ErrorCode, H2ConnectionError, H2StreamError, Setting
from epp.transport.h2.header_blocks import NO_DYNAMIC_TABLE, Fields, header_block
from epp.transport.h2.limits import Limits, Tally
from epp.transport.h2.stream import Stream


class Sender:
    """What one connection has to send."""

    def __init__(self, limits: Limits, tally: Tally) -> None:
        self._limits = limits
        self._tally = tally
        self.output: list[Buffer] = []
        self.held = False  # the edge cannot take more data for now
        self.initial_window = frames.DEFAULT_WINDOW  # of the peer's streams
        self._window = frames.DEFAULT_WINDOW  # of the connection
        self._max_frame_size = frames.DEFAULT_MAX_FRAME_SIZE
        self._first_block = True
        # Streams with credit of their own that wait for the connection's, or for the edge.
        self._waiting: dict[int, Stream] = {}

    def take(self) -> list[Buffer]:
        """What is to be written to the peer now."""
        output, self.output = self.output, []
        return output

    # What a stream says ----------------------------------------------------------------------------------

    def headers(self, stream: Stream, fields: Fields, *, end_stream: bool) -> None:
        """Send HEADERS."""
        block = header_block(fields)
        if self._first_block:
            self._first_block = False
            block = NO_DYNAMIC_TABLE + block
        self.output.append(
            frames.header_frames(stream.id, block, self._max_frame_size, end_stream=end_stream)
        )
        stream.answered = True
        stream.local_ended = end_stream

    def data(self, stream: Stream, pieces: Sequence[Buffer], now: float) -> None:
        """Send data, or queue it; `stream.choked` tells that the caller should write no more for now."""
        queue = stream.queue
        size = sum(map(len, pieces))
        if size <= stream.send_window and size <= self._window and not queue.size and not self.held:
            # Nearly always: at once. What fits in one frame does so without being looked at.
            stream.send_window -= size
            self._window -= size
            if size <= self._max_frame_size:
                self.output.append(frames.frame_head(size, frames.DATA, 0, stream.id))
                self.output += pieces
            else:
                self.output += frames.data_frames(stream.id, pieces, size, self._max_frame_size)
            return
        if not queue.size:
            stream.moved_at = now
        queue.add(pieces)
        self.move(stream, now)
        stream.choked = queue.size > self._limits.send_queue_bytes

    def end(self, stream: Stream, trailers: Fields, now: float) -> None:
        """End our side behind what is queued, with trailers if there are any."""
        stream.ending = True
        stream.trailers = trailers
        if stream.queue.size:
            self.move(stream, now)
        else:
            self._finish(stream)

    def move(self, stream: Stream, now: float) -> None:
        """Send what a stream has queued as far as credit goes."""
        while self._send_frame(stream, now):
            pass
        if stream.queue.size and stream.send_window > 0:
            self._waiting[stream.id] = stream
        else:
            self._waiting.pop(stream.id, None)
        self._count(stream)

    def move_all(self, now: float) -> list[Stream]:
        """Send what waited for the connection's credit or the edge, a frame of each stream in turn.

        Returns the streams that had something to send.
        """
        moved = list(self._waiting.values())
        turn = moved
        while turn and self._window > 0 and not self.held:
            turn = [stream for stream in turn if self._send_frame(stream, now)]
        for stream in moved:
            self.move(stream, now)
        return moved

    def forget(self, stream: Stream) -> None:
        """The stream is closed."""
        stream.queue.clear()
        self._waiting.pop(stream.id, None)
        self._count(stream)

    def _send_frame(self, stream: Stream, now: float) -> bool:
        """Send one DATA frame of what is queued; whether there may be another."""
        queue = stream.queue
        size = min(queue.size, stream.send_window, self._window, self._max_frame_size)
        if size <= 0 or self.held:
            return False
        last = size == queue.size and stream.ending
        flags = frames.END_STREAM if last and not stream.trailers else 0
        self.output.append(frames.frame_head(size, frames.DATA, flags, stream.id))
        self.output += queue.take(size)
        stream.send_window -= size
        self._window -= size
        stream.moved_at = now
        if last:
            self._finish(stream, sent=not stream.trailers)
        return queue.size > 0

    def _finish(self, stream: Stream, *, sent: bool = False) -> None:
        """The queue of an ending stream is empty: send its end, if the last DATA frame did not."""
        if stream.trailers:
            self.headers(stream, stream.trailers, end_stream=True)
        elif not sent:
            self.output.append(frames.frame(frames.DATA, frames.END_STREAM, stream.id, b""))
        stream.local_ended = True

    def _count(self, stream: Stream) -> None:
        self._tally.buffered += stream.queue.size - stream.held
        stream.held = stream.queue.size

    # What the peer allows --------------------------------------------------------------------------------

    def credit(self, increment: int) -> bool:
        """WINDOW_UPDATE for the connection; whether data may now move (section 6.9.1)."""
        self._window += increment
        if self._window > frames.MAX_WINDOW:
            raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window grew too large")
        return bool(self._waiting)

    def credit_stream(self, stream: Stream, increment: int, now: float) -> None:
        """WINDOW_UPDATE for a stream (section 6.9.1)."""
        stream.send_window += increment
        if stream.send_window > frames.MAX_WINDOW:
            raise H2StreamError(stream.id, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window grew too large")
        if stream.queue.size:
            self.move(stream, now)

    def apply(self, setting: int, value: int) -> int:
        """Apply one setting (section 6.5.2); returns by how much every stream's window changes.

        The rest of the settings ask nothing of us: we push nothing, and our header blocks use no table.
        """
        if setting == Setting.ENABLE_PUSH and value > 1:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        if setting == Setting.MAX_FRAME_SIZE:
            if not frames.DEFAULT_MAX_FRAME_SIZE <= value <= frames.LARGEST_MAX_FRAME_SIZE:
                raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of its range")
            self._max_frame_size = value
        if setting == Setting.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE out of its range")
            change, self.initial_window = value - self.initial_window, value
            return change
        return 0
