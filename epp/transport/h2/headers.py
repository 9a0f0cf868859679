"""HEADERS and CONTINUATION frames (RFC 9113, sections 6.2 and 6.10): requests and their trailers (8.1)."""

from __future__ import annotations

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, H2ConnectionError, H2StreamError
from epp.transport.h2.header_blocks import Fields, HeaderBlock
from epp.transport.h2.requests import read_head, trailers_flaw
from epp.transport.h2.session import Session
from epp.transport.h2.stream import Stream

# The answer to a request whose fields are more than we announced (RFC 6585, section 5).
_TOO_LARGE: Fields = ((b":status", b"431"),)


def on_headers(session: Session, flags: int, stream_id: int, payload: bytes) -> None:
    """Section 6.2."""
    if not stream_id & 1:
        # Section 5.1.1: streams of clients are odd; 0 is the connection.
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS for a stream that is no client's")
    block, flaw = payload, ""
    if flags & frames.PADDED:
        start, end = frames.without_padding(payload, 0, len(payload))
        block = payload[start:end]
    if flags & frames.HAS_PRIORITY:
        if len(payload) < frames.PRIORITY_SIZE:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
        if len(block) < frames.PRIORITY_SIZE:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding as long as its frame")
        flaw = frames.priority_flaw(stream_id, block)
        block = block[frames.PRIORITY_SIZE :]
    ended = bool(flags & frames.END_STREAM)
    if flags & frames.END_HEADERS:
        _header_block(session, stream_id, ended, block, flaw)
    else:
        session.lifetime.whole(session.now)  # from here on it is unfinished
        session.block = HeaderBlock(stream_id, ended, flaw, [block])


def on_continuation(session: Session, flags: int, stream_id: int, payload: bytes) -> None:
    """Section 6.10."""
    block = session.block
    if block is None or block.stream_id != stream_id:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of no header block")
    block.pieces.append(payload)
    if len(block.pieces) > session.limits.continuations + 1:
        raise session.over("continuations")
    if sum(map(len, block.pieces)) > session.limits.header_block_bytes:
        raise session.over("header_block_bytes")
    if flags & frames.END_HEADERS:
        session.block = None
        _header_block(session, stream_id, block.ended, b"".join(block.pieces), block.flaw)


def _header_block(session: Session, stream_id: int, ended: bool, block: bytes, flaw: str) -> None:
    """Section 8.1: a whole header block begins a request or, as trailers, ends one."""
    fields = session.header_reader.read(block)  # first, whatever follows: section 4.3
    streams = session.streams
    if stream_id > streams.last_id:
        streams.last_id = stream_id
        _request(session, stream_id, ended, fields, flaw)
    elif (stream := streams.open.get(stream_id)) is not None:
        _trailers(session, stream, ended, fields)
    else:
        streams.check_late(stream_id)
        session.count("idle_frames")


def _request(session: Session, stream_id: int, ended: bool, fields: Fields, flaw: str) -> None:
    if session.final_id is not None:
        # Section 6.8: it came after our last GOAWAY said that it would not be served.
        session.reset(stream_id, ErrorCode.REFUSED_STREAM)
        return
    head = read_head(fields)
    if flaw or head.flaw:
        raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, flaw or head.flaw)
    limits, streams = session.limits, session.streams
    if len(streams.open) >= limits.concurrent_streams:  # section 5.1.2
        session.tally.limit_hit("concurrent_streams")
        raise H2StreamError(stream_id, ErrorCode.REFUSED_STREAM, "too many streams")
    if ended and head.content_length:  # section 8.1.1
        raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "the content-length is wrong")
    stream = Stream(stream_id, session.sender.initial_window, limits.stream_window, head.content_length)
    stream.remote_ended = ended
    streams.open[stream_id] = stream
    if head.size > limits.header_list_bytes:
        session.tally.limit_hit("header_list_bytes")
        stream.unwanted = True
        session.sender.headers(stream, _TOO_LARGE, end_stream=True)
        session.close_if_ended(stream)
    else:
        session.on_request(stream, fields, ended)


def _trailers(session: Session, stream: Stream, ended: bool, fields: Fields) -> None:
    if stream.remote_ended:  # section 5.1, half-closed (remote)
        raise H2StreamError(stream.id, ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM")
    if not ended:
        raise H2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM")
    if flaw := trailers_flaw(fields):
        raise H2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, flaw)
    if stream.content_left:
        raise H2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "the content-length is wrong")
    session.end_remote(stream)
    if stream.receiver is not None:
        stream.receiver.received(b"", 0, 0, True)
