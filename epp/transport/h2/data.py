"""DATA frames and the credit that a peer gets for them (RFC 9113, sections 6.1, 5.2 and 6.9).

A peer may send as much as the smaller of two windows: the stream's, and the connection's. Ours shrink with
each DATA frame, padding included, and are opened wide again when half of one is used up:

    the connection's   at once, whatever becomes of the data: what the server holds is bounded by the windows
                       of its streams and by the tally;
    a stream's         if the layer above has taken the data in; not while it is `behind`, and not when it
                       has no use for what still comes.

This is the path of nearly every frame, so it does little and calls little.
"""

from __future__ import annotations

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, H2ConnectionError, H2StreamError
from epp.transport.h2.session import Session
from epp.transport.h2.stream import Stream


def on_data(session: Session, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
    """Section 6.1. The payload is `data[start:end]`."""
    size = end - start
    session.receive_window -= size
    if session.receive_window * 2 <= session.limits.connection_window:
        _open_connection_window(session)
    ended = flags & frames.END_STREAM
    if flags & frames.PADDED:
        start, end = frames.without_padding(data, start, end)
    if start == end and not ended:
        session.count("empty_frames")
    stream = session.streams.open.get(stream_id)
    if stream is None:
        session.streams.check_late(stream_id)
        session.count("idle_frames")
        return
    if stream.remote_ended:  # section 5.1, half-closed (remote)
        raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED, "DATA after END_STREAM")
    stream.receive_window -= size
    if stream.receive_window < 0:
        raise H2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window")
    if stream.content_left is not None:  # section 8.1.1
        stream.content_left -= end - start
        if stream.content_left < 0 or (ended and stream.content_left):
            raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "the content-length is wrong")
    if ended:
        session.end_remote(stream)
    if stream.receiver is not None:
        stream.receiver.received(data, start, end, ended != 0)
        if stream.receive_window <= session.half_window:
            open_stream_window(session, stream)


def _open_connection_window(session: Session) -> None:
    if session.receive_window < 0:
        raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")
    used = session.limits.connection_window - session.receive_window
    session.receive_window += used
    session.sender.output.append(frames.window_update_frame(0, used))


def open_stream_window(session: Session, stream: Stream) -> None:
    """Give credit for all that came on a stream, if it is due and worth a frame."""
    if stream.behind or stream.remote_ended or stream.receiver is None:
        return
    used = session.limits.stream_window - stream.receive_window
    if used * 2 >= session.limits.stream_window:
        stream.receive_window += used
        session.sender.output.append(frames.window_update_frame(stream.id, used))
