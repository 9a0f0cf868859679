"""The frames that carry no request: priorities, resets, settings, pings, credit (RFC 9113, 6.3 to 6.9).

One function a frame type, in the order of section 6. Each gets the frame's flags, stream and payload, and
raises H2ConnectionError or H2StreamError if the peer has broken a rule.
"""

from __future__ import annotations

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, H2ConnectionError, H2StreamError
from epp.transport.h2.session import DRAIN_PING, Session
from epp.transport.h2.stream import Closing


def on_priority(session: Session, flags: int, stream_id: int, payload: bytes) -> None:
    """Section 6.3: deprecated and ignored."""
    if not stream_id:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PRIORITY for stream 0")
    if len(payload) != frames.PRIORITY_SIZE:
        raise session.fault(stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a wrong size")
    if flaw := frames.priority_flaw(stream_id, payload):
        raise session.fault(stream_id, ErrorCode.PROTOCOL_ERROR, flaw)
    session.count("idle_frames")


def on_rst_stream(session: Session, flags: int, stream_id: int, payload: bytes) -> None:
    """Section 6.4. Envoy ends a call so when it has all that it wants."""
    if len(payload) != 4:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
    stream = session.streams.open.get(stream_id)
    if stream is None:
        session.streams.check_not_idle(stream_id)
        session.count("idle_frames")
        return
    session.close(stream, Closing.BY_PEER)
    session.lose(stream)
    if not stream.answered:
        session.count("early_resets")


def on_settings(session: Session, flags: int, stream_id: int, payload: bytes) -> None:
    """Section 6.5."""
    if stream_id:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS for a stream")
    if len(payload) % 6 or (flags & frames.ACK and payload):
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
    session.count("settings")
    if flags & frames.ACK:
        return  # what our settings bound was bounded already, from the greeting on
    sender = session.sender
    change = sum([sender.apply(*item) for item in frames.read_settings(payload)])
    if change:
        _change_windows(session, change)
    sender.output.append(frames.settings_ack())


def _change_windows(session: Session, change: int) -> None:
    """Section 6.9.2: INITIAL_WINDOW_SIZE changes the windows of open streams too."""
    for stream in list(session.streams.open.values()):
        try:
            session.sender.credit_stream(stream, change, session.now)
        except H2StreamError as fault:
            raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, str(fault)) from fault
        session.moved([stream])


def on_push_promise(session: Session, flags: int, stream_id: int, payload: bytes) -> None:
    """Section 6.6."""
    raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")


def on_ping(session: Session, flags: int, stream_id: int, payload: bytes) -> None:
    """Section 6.7."""
    if stream_id:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PING for a stream")
    if len(payload) != 8:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong size")
    session.count("pings")
    if not flags & frames.ACK:
        session.sender.output.append(frames.ping_frame(payload, ack=True))
    elif payload == DRAIN_PING:
        session.end_drain()


def on_goaway(session: Session, flags: int, stream_id: int, payload: bytes) -> None:
    """Section 6.8: a client that goes away opens no more streams; the open ones go on."""
    if stream_id:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "GOAWAY for a stream")
    if len(payload) < 8:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY too short")
    session.count("idle_frames")


def on_window_update(session: Session, flags: int, stream_id: int, payload: bytes) -> None:
    """Section 6.9: the peer takes more data. What waited for that goes out."""
    if len(payload) != 4:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
    session.count("idle_frames")
    increment = frames.read_number(payload) & frames.MAX_WINDOW
    if not stream_id:
        if not increment:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a credit of 0")
        if session.sender.credit(increment):
            session.moved(session.sender.move_all(session.now))
        return
    stream = session.streams.open.get(stream_id)
    if stream is None:
        session.streams.check_not_idle(stream_id)  # section 5.1, closed: late credit is ignored
        return
    if not increment:
        raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "a credit of 0")
    session.sender.credit_stream(stream, increment, session.now)
    session.moved([stream])
