"""RFC 9113, sections 3 to 6: what a server must do with frames. Each test names its section."""

import pytest

from epp.transport.h2 import frames
from epp.transport.h2.frames import END_HEADERS, END_STREAM, HAS_PRIORITY, PADDED, Setting, frame
from epp.transport.h2.limits import Limits
from tests.h2_peer import Peer, data, received, settings, whole_frames

PING = frames.ping_frame(b"12345678", ack=False)
PONG = "PING ACK 12345678"


def closed_by(*pieces: bytes) -> str:
    """How the server closes the connection of a client that sends this after its preface."""
    peer = Peer()
    peer.send(*pieces)
    return peer.closing


# 3.4 Connection preface


def test_3_4_server_preface_is_a_settings_frame_and_comes_first() -> None:
    assert Peer(greet=False).hear() == ["SETTINGS", "WINDOW_UPDATE 0 16711681"]


def test_3_4_settings_of_the_client_are_acknowledged() -> None:
    peer = Peer(greet=False)
    peer.hear()
    peer.send(frames.PREFACE, frames.settings_frame({}))
    assert peer.hear() == ["SETTINGS ACK"]


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/1.1", b"\0" * 24])
def test_3_4_anything_but_the_preface_is_a_connection_error(start: bytes) -> None:
    peer = Peer(greet=False)
    peer.send(start)
    assert peer.closing == "PROTOCOL_ERROR"


@pytest.mark.parametrize("first", [PING, frames.settings_ack(), frames.window_update_frame(0, 1)])
def test_3_4_first_frame_must_be_settings(first: bytes) -> None:
    peer = Peer(greet=False)
    peer.send(frames.PREFACE, first)
    assert peer.closing == "PROTOCOL_ERROR"


# 4.1 Frame format


def test_4_1_reserved_bit_of_the_identifier_is_ignored() -> None:
    peer = Peer()
    peer.send(frame(frames.PING, 0, 1 << 31, b"12345678"))
    assert peer.hear() == [PONG]


def test_4_1_flags_without_meaning_are_ignored() -> None:
    peer = Peer()
    peer.send(frame(frames.PING, 0xFE, 0, b"12345678"))
    assert peer.hear() == [PONG]


def test_4_1_and_5_5_unknown_types_are_ignored() -> None:
    peer = Peer()
    peer.send(frame(0x16, 0xFF, 0, b"?"), frame(0xFF, 0, 7, b""), PING)
    assert peer.hear() == [PONG]


def test_5_5_unknown_type_amid_a_header_block_is_a_connection_error() -> None:
    peer = Peer()
    peer.send(frame(frames.HEADERS, 0, 1, peer.block()), frame(0x16, 0, 1, b""))
    assert peer.closing == "PROTOCOL_ERROR"


# 4.2 Frame size


def test_4_2_frames_of_16384_bytes_are_processed() -> None:
    peer = Peer()
    events = peer.send(peer.request(), data(1, b"x" * 16_384, END_STREAM))
    assert received(events) == ["request 1", f"data 1 {b'x' * 16_384!r} END"]


@pytest.mark.parametrize(
    ("kind", "stream_id"),
    [(frames.DATA, 1), (frames.HEADERS, 1), (frames.SETTINGS, 0), (frames.PING, 0), (0x16, 0)],
)
def test_4_2_larger_frames_are_a_frame_size_error(kind: int, stream_id: int) -> None:
    assert closed_by(frames.frame_head(16_385, kind, 0, stream_id)) == "FRAME_SIZE_ERROR"


# 6.1 DATA


def test_6_1_data_for_stream_0_is_a_connection_error() -> None:
    assert closed_by(data(0, b"x")) == "PROTOCOL_ERROR"


def test_6_1_padding_is_taken_off_and_gets_credit() -> None:
    peer = Peer(Limits(stream_window=18))
    peer.send(peer.request())
    assert received(peer.send(data(1, b"\3abcPAD", PADDED), data(1, b"\0d", PADDED))) == [
        "data 1 b'abc'",
        "data 1 b'd'",
    ]
    assert peer.hear() == ["WINDOW_UPDATE 1 9"]  # lengths and padding included


@pytest.mark.parametrize("payload", [b"\4abc", b"\1", b"\xff" * 9])
def test_6_1_padding_as_long_as_the_payload_is_a_connection_error(payload: bytes) -> None:
    peer = Peer()
    peer.send(peer.request(), data(1, payload, PADDED))
    assert peer.closing == "PROTOCOL_ERROR"


def test_6_1_and_4_2_padded_frame_without_a_length_is_a_frame_size_error() -> None:
    peer = Peer()
    peer.send(peer.request(), data(1, b"", PADDED))
    assert peer.closing == "FRAME_SIZE_ERROR"


# 6.2 HEADERS


def test_6_2_headers_for_stream_0_are_a_connection_error() -> None:
    peer = Peer()
    peer.send(peer.request(0))
    assert peer.closing == "PROTOCOL_ERROR"


def test_6_2_padding_and_priority_are_taken_off() -> None:
    peer = Peer()
    payload = b"\2" + b"\0\0\0\3\x10" + peer.block() + b"\0\0"
    events = peer.send(frame(frames.HEADERS, END_HEADERS | PADDED | HAS_PRIORITY, 1, payload))
    assert received(events) == ["request 1"]


def test_6_2_padding_beyond_the_block_is_a_connection_error() -> None:
    assert closed_by(frame(frames.HEADERS, END_HEADERS | PADDED, 1, b"\5\x83")) == "PROTOCOL_ERROR"
    payload = b"\4" + b"\0\0\0\3\x10"
    assert (
        closed_by(frame(frames.HEADERS, END_HEADERS | PADDED | HAS_PRIORITY, 1, payload)) == "PROTOCOL_ERROR"
    )


def test_6_2_and_4_2_headers_too_short_for_their_priority() -> None:
    assert closed_by(frame(frames.HEADERS, END_HEADERS | HAS_PRIORITY, 1, b"\0\0")) == "FRAME_SIZE_ERROR"


# 6.3 PRIORITY, and RFC 7540, 5.3.1


def test_6_3_priority_is_ignored_in_every_state() -> None:
    peer = Peer()
    priority = frame(frames.PRIORITY, 0, 1, b"\0\0\0\7\x10")
    peer.send(priority, peer.request(end=True), priority)
    peer.connection.end(peer.streams[1], ((b":status", b"200"),))
    peer.send(priority, PING)
    assert peer.hear() == ["HEADERS 1 :status=200 END", PONG]


def test_6_3_priority_for_stream_0_is_a_connection_error() -> None:
    assert closed_by(frame(frames.PRIORITY, 0, 0, b"\0\0\0\7\x10")) == "PROTOCOL_ERROR"


def test_6_3_priority_of_a_wrong_size_is_a_stream_error() -> None:
    peer = Peer()
    peer.send(peer.request(), frame(frames.PRIORITY, 0, 1, b"\0\0\0\7"))
    assert peer.hear() == ["RST_STREAM 1 FRAME_SIZE_ERROR"]


def test_7540_5_3_1_stream_that_depends_on_itself() -> None:
    on_itself = b"\0\0\0\1\x10"
    peer = Peer()
    peer.send(frame(frames.HEADERS, END_HEADERS | HAS_PRIORITY, 1, on_itself + peer.block()))
    assert peer.hear() == ["RST_STREAM 1 PROTOCOL_ERROR"]
    peer = Peer()
    peer.send(peer.request(), frame(frames.PRIORITY, 0, 1, on_itself))
    assert peer.hear() == ["RST_STREAM 1 PROTOCOL_ERROR"]
    assert closed_by(frame(frames.PRIORITY, 0, 1, on_itself)) == "PROTOCOL_ERROR"


# 6.4 RST_STREAM


def test_6_4_reset_ends_the_stream_and_nothing_is_sent_on_it() -> None:
    peer = Peer()
    peer.send(peer.request())
    assert received(peer.send(frames.rst_stream_frame(1, frames.ErrorCode.CANCEL))) == ["lost 1"]
    peer.connection.respond(peer.streams[1], ((b":status", b"200"),))
    peer.connection.send(peer.streams[1], [b"x"])
    peer.connection.end(peer.streams[1])
    assert peer.hear() == []


def test_6_4_reset_of_stream_0_or_of_an_idle_one_is_a_connection_error() -> None:
    assert closed_by(frames.rst_stream_frame(0, frames.ErrorCode.CANCEL)) == "PROTOCOL_ERROR"
    assert closed_by(frames.rst_stream_frame(1, frames.ErrorCode.CANCEL)) == "PROTOCOL_ERROR"


def test_6_4_reset_of_a_wrong_size_is_a_connection_error() -> None:
    peer = Peer()
    peer.send(peer.request(), frame(frames.RST_STREAM, 0, 1, b"\0\0\0"))
    assert peer.closing == "FRAME_SIZE_ERROR"


# 6.5 SETTINGS


def test_6_5_settings_for_a_stream_are_a_connection_error() -> None:
    assert closed_by(frame(frames.SETTINGS, 0, 1, b"")) == "PROTOCOL_ERROR"


def test_6_5_sizes_that_settings_cannot_have() -> None:
    assert closed_by(frame(frames.SETTINGS, 0, 0, b"\0\3\0")) == "FRAME_SIZE_ERROR"
    assert closed_by(frame(frames.SETTINGS, frames.ACK, 0, b"\0\3\0\0\0\1")) == "FRAME_SIZE_ERROR"


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        (Setting.ENABLE_PUSH, 2, "PROTOCOL_ERROR"),
        (Setting.INITIAL_WINDOW_SIZE, 1 << 31, "FLOW_CONTROL_ERROR"),
        (Setting.MAX_FRAME_SIZE, (1 << 14) - 1, "PROTOCOL_ERROR"),
        (Setting.MAX_FRAME_SIZE, 1 << 24, "PROTOCOL_ERROR"),
    ],
)
def test_6_5_2_values_out_of_range(setting: Setting, value: int, code: str) -> None:
    assert closed_by(settings((setting, value))) == code


def test_6_5_2_unknown_settings_are_ignored() -> None:
    peer = Peer()
    peer.send(frame(frames.SETTINGS, 0, 0, b"\0\xff\0\0\0\1"), PING)
    assert peer.hear() == ["SETTINGS ACK", PONG]


def test_6_5_3_values_are_taken_in_order_and_acknowledged_at_once() -> None:
    peer = Peer()
    window = Setting.INITIAL_WINDOW_SIZE
    peer.send(settings((window, 100), (window, 1)), peer.request())
    stream = peer.streams[1]
    peer.connection.respond(stream, ((b":status", b"200"),))
    peer.connection.send(stream, [b"hello"])
    assert peer.hear() == ["SETTINGS ACK", "HEADERS 1 :status=200", "DATA 1 1"]


# 6.6 PUSH_PROMISE, 8.4


def test_6_6_push_promise_of_a_client_is_a_connection_error() -> None:
    assert closed_by(frame(frames.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2\x83")) == "PROTOCOL_ERROR"


# 6.7 PING


def test_6_7_ping_is_answered_with_its_payload() -> None:
    peer = Peer()
    peer.send(PING)
    assert peer.hear() == [PONG]


def test_6_7_answer_to_a_ping_is_not_answered() -> None:
    peer = Peer()
    peer.send(frames.ping_frame(b"12345678", ack=True))
    assert peer.hear() == []


def test_6_7_ping_for_a_stream_or_of_a_wrong_size() -> None:
    assert closed_by(frame(frames.PING, 0, 1, b"12345678")) == "PROTOCOL_ERROR"
    assert closed_by(frame(frames.PING, 0, 0, b"1234567")) == "FRAME_SIZE_ERROR"


# 6.8 GOAWAY


def test_6_8_goaway_for_a_stream_or_too_short() -> None:
    assert closed_by(frame(frames.GOAWAY, 0, 1, bytes(8))) == "PROTOCOL_ERROR"
    assert closed_by(frame(frames.GOAWAY, 0, 0, bytes(7))) == "FRAME_SIZE_ERROR"


def test_6_8_streams_of_a_client_that_goes_away_go_on() -> None:
    peer = Peer()
    peer.send(peer.request(), frames.goaway_frame(0, frames.ErrorCode.NO_ERROR))
    assert received(peer.send(data(1, b"more", END_STREAM))) == ["data 1 b'more' END"]


def test_6_8_goaway_names_the_last_stream_that_was_looked_at() -> None:
    peer = Peer()
    peer.send(peer.request(5), data(0, b""))
    assert peer.hear() == ["GOAWAY 5 PROTOCOL_ERROR"]


# 6.10 CONTINUATION


def test_6_10_header_block_in_pieces() -> None:
    peer = Peer()
    block = peer.block()
    events = peer.send(
        frame(frames.HEADERS, END_STREAM, 1, block[:2]),
        frame(frames.CONTINUATION, 0, 1, b""),
        frame(frames.CONTINUATION, END_HEADERS, 1, block[2:]),
    )
    assert received(events) == ["request 1 END"]


@pytest.mark.parametrize(
    "between",
    [
        PING,
        data(1, b"x"),
        frame(frames.CONTINUATION, END_HEADERS, 3, b""),
        frame(frames.HEADERS, END_HEADERS, 3, b"\x83"),
        frames.settings_frame({}),
        frame(frames.PRIORITY, 0, 1, b"\0\0\0\7\x10"),
    ],
)
def test_6_10_nothing_may_come_amid_a_header_block(between: bytes) -> None:
    peer = Peer()
    peer.send(frame(frames.HEADERS, 0, 1, peer.block()), between)
    assert peer.closing == "PROTOCOL_ERROR"


def test_6_10_continuation_of_no_block() -> None:
    assert closed_by(frame(frames.CONTINUATION, END_HEADERS, 1, b"")) == "PROTOCOL_ERROR"
    assert closed_by(frame(frames.CONTINUATION, END_HEADERS, 0, b"")) == "PROTOCOL_ERROR"
    peer = Peer()
    peer.send(peer.request(), frame(frames.CONTINUATION, END_HEADERS, 1, b""))
    assert peer.closing == "PROTOCOL_ERROR"


def test_6_10_our_own_large_blocks_are_cut_into_continuations() -> None:
    peer = Peer()
    peer.send(peer.request())
    peer.connection.respond(peer.streams[1], ((b":status", b"200"), (b"x", b"y" * 40_000)))
    output = b"".join(map(bytes, peer.connection.take_output()))
    kinds = [(kind, flags, len(payload) <= 16_384) for kind, flags, _, payload in whole_frames(output)]
    assert kinds == [
        (frames.HEADERS, 0, True),
        (frames.CONTINUATION, 0, True),
        (frames.CONTINUATION, END_HEADERS, True),
    ]
