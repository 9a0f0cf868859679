"""RFC 9113, sections 5, 6.8, 6.9: states of streams, flow control, shutdown. Each test names its section."""

import pytest

from epp.transport.h2 import frames
from epp.transport.h2.frames import END_HEADERS, END_STREAM, ErrorCode, Setting, frame
from epp.transport.h2.limits import Limits
from tests.h2_peer import OK, TRAILERS, Peer, RequestReceived, data, received, settings

CANCEL = ErrorCode.CANCEL
PING = frames.ping_frame(b"12345678", ack=False)
PONG = "PING ACK 12345678"


def answered() -> Peer:
    """A client whose stream 1 both sides have ended."""
    peer = Peer()
    peer.send(peer.request(1, end=True))
    peer.connection.respond(peer.streams[1], OK)
    peer.connection.end(peer.streams[1])
    assert peer.hear() == ["HEADERS 1 :status=200", "DATA 1 0 END"]
    return peer


# 5.1 Stream states


@pytest.mark.parametrize(
    "early", [data(1, b"x"), frames.rst_stream_frame(1, CANCEL), frames.window_update_frame(1, 1)]
)
def test_5_1_idle_takes_headers_and_priority_only(early: bytes) -> None:
    peer = Peer()
    peer.send(early)
    assert peer.closing == "PROTOCOL_ERROR"


def test_5_1_half_closed_remote_takes_no_data() -> None:
    peer = Peer()
    peer.send(peer.request(end=True))
    assert received(peer.send(data(1, b"x"))) == ["lost 1"]
    assert peer.hear() == ["RST_STREAM 1 STREAM_CLOSED"]


def test_5_1_half_closed_remote_takes_no_headers() -> None:
    peer = Peer()
    peer.send(peer.request(end=True), peer.request(end=True))
    assert peer.hear() == ["RST_STREAM 1 STREAM_CLOSED"]


def test_5_1_half_closed_remote_takes_credit_priority_and_reset() -> None:
    peer = Peer()
    peer.send(peer.request(end=True))
    late = frames.window_update_frame(1, 1), frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\1")
    assert received(peer.send(*late, frames.rst_stream_frame(1, CANCEL), PING)) == ["lost 1"]
    assert peer.hear() == [PONG]


def test_5_1_half_closed_local_takes_the_rest_of_the_request() -> None:
    peer = Peer()
    peer.send(peer.request())
    peer.connection.end(peer.streams[1], OK)
    assert received(peer.send(data(1, b"x"), data(1, b"", END_STREAM))) == ["data 1 b'x'", "data 1 b'' END"]
    assert peer.connection.streams == []


def test_5_1_closed_by_both_takes_no_data_nor_headers() -> None:
    peer = answered()
    peer.send(data(1, b"x"))
    assert peer.closing == "STREAM_CLOSED"
    peer = answered()
    peer.send(peer.request(1))
    assert peer.closing == "STREAM_CLOSED"


def test_5_1_closed_by_both_takes_late_credit_priority_and_reset() -> None:
    peer = answered()
    late = frames.window_update_frame(1, 9), frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\1")
    peer.send(*late, frames.rst_stream_frame(1, CANCEL), PING)
    assert peer.hear() == [PONG]


@pytest.mark.parametrize("kind", [frames.DATA, frames.HEADERS])
def test_5_1_closed_by_the_clients_reset(kind: int) -> None:
    peer = Peer()
    peer.send(peer.request(), frames.rst_stream_frame(1, CANCEL))
    peer.send(data(1, b"x") if kind == frames.DATA else peer.request())
    assert peer.hear() == ["RST_STREAM 1 STREAM_CLOSED"]


def test_5_1_closed_by_our_reset_ignores_what_was_under_way() -> None:
    peer = Peer()
    peer.send(peer.request(fields=[(":method", "POST")]))
    assert peer.hear() == ["RST_STREAM 1 PROTOCOL_ERROR"]
    under_way = (
        data(1, b"x"),
        frames.window_update_frame(1, 1),
        peer.request(1),
        frames.rst_stream_frame(1, CANCEL),
    )
    assert received(peer.send(*under_way, PING)) == []
    assert peer.hear() == [PONG]


def test_5_1_data_for_closed_streams_still_counts_for_the_connections_window() -> None:
    peer = Peer(Limits(connection_window=100_000))
    peer.send(peer.request(fields=[(":method", "POST")]))
    peer.hear()
    peer.send(*[data(1, b"x" * 10_000)] * 5)
    assert peer.hear() == ["WINDOW_UPDATE 0 50000"]


def test_4_3_blocks_for_closed_streams_still_change_the_table() -> None:
    peer = Peer()
    peer.send(peer.request(fields=[(":method", "POST")]))
    peer.send(peer.request(1, [("x-inserted", "value")]))
    (event,) = peer.send(peer.request(3, [*_request(), ("x-inserted", "value")]))
    assert isinstance(event, RequestReceived)
    assert event.fields[-1] == (b"x-inserted", b"value")


def _request() -> list[tuple[str, str]]:
    return [(":method", "POST"), (":scheme", "http"), (":path", "/")]


# 5.1.1 Stream identifiers


def test_5_1_1_streams_of_clients_are_odd() -> None:
    peer = Peer()
    peer.send(peer.request(2))
    assert peer.closing == "PROTOCOL_ERROR"


def test_5_1_1_identifiers_grow() -> None:
    peer = Peer()
    peer.send(peer.request(5), peer.request(3))
    assert peer.closing == "PROTOCOL_ERROR"


def test_5_1_1_identifiers_may_be_skipped() -> None:
    peer = Peer()
    assert received(peer.send(peer.request(1), peer.request(9))) == ["request 1", "request 9"]


# 5.1.2 Stream concurrency


def test_5_1_2_stream_beyond_the_limit_is_refused() -> None:
    peer = Peer(Limits(concurrent_streams=2))
    assert received(peer.send(peer.request(1), peer.request(3, end=True), peer.request(5))) == [
        "request 1",
        "request 3 END",
    ]
    assert peer.hear() == ["RST_STREAM 5 REFUSED_STREAM"]
    peer.connection.end(peer.streams[3], OK)
    assert received(peer.send(peer.request(7))) == ["request 7"]
    assert peer.hits == ["concurrent_streams"]


# 5.4 Error handling


def test_5_4_1_nothing_is_processed_after_a_connection_error() -> None:
    peer = Peer()
    events = peer.send(peer.request(1), data(0, b""), peer.request(3), PING)
    assert received(events) == ["request 1", "lost 1"]
    assert received(peer.send(peer.request(5))) == []
    assert peer.hear() == ["GOAWAY 1 PROTOCOL_ERROR"]


def test_5_4_2_stream_error_harms_no_other_stream() -> None:
    peer = Peer()
    peer.send(peer.request(1), peer.request(3))
    events = peer.send(frames.window_update_frame(1, 0), data(3, b"x"))
    assert received(events) == ["lost 1", "data 3 b'x'"]


# 6.9 WINDOW_UPDATE and flow control


def sending(window: int) -> Peer:
    """A client that has asked on stream 1 and gives it this window."""
    peer = Peer()
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, window)), peer.request(end=True))
    peer.connection.respond(peer.streams[1], OK)
    peer.hear()
    return peer


def test_6_9_credit_of_0_is_an_error_of_its_scope() -> None:
    peer = Peer()
    peer.send(peer.request(), frames.window_update_frame(1, 0))
    assert peer.hear() == ["RST_STREAM 1 PROTOCOL_ERROR"]
    peer.send(frames.window_update_frame(0, 0))
    assert peer.closing == "PROTOCOL_ERROR"


def test_6_9_credit_of_a_wrong_size_is_a_connection_error() -> None:
    peer = Peer()
    peer.send(frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\1"))
    assert peer.closing == "FRAME_SIZE_ERROR"


def test_6_9_reserved_bit_of_the_increment_is_ignored() -> None:
    peer = sending(0)
    peer.connection.send(peer.streams[1], [b"hello"])
    peer.send(frame(frames.WINDOW_UPDATE, 0, 1, b"\x80\0\0\2"))
    assert peer.hear() == ["DATA 1 2"]


def test_6_9_1_no_more_is_sent_than_the_streams_window() -> None:
    peer = sending(3)
    peer.connection.send(peer.streams[1], [b"hello"])
    peer.connection.end(peer.streams[1], TRAILERS)
    assert peer.hear() == ["DATA 1 3"]
    peer.send(frames.window_update_frame(1, 1))
    assert peer.hear() == ["DATA 1 1"]
    peer.send(frames.window_update_frame(1, 100))
    assert peer.hear() == ["DATA 1 1", "HEADERS 1 grpc-status=0 END"]


def test_6_9_1_no_more_is_sent_than_the_connections_window() -> None:
    peer = sending(1 << 20)
    peer.connection.send(peer.streams[1], [b"x" * 70_000])
    assert peer.hear() == ["DATA 1 16384", "DATA 1 16384", "DATA 1 16384", "DATA 1 16383"]
    peer.send(frames.window_update_frame(0, 4_000))
    assert peer.hear() == ["DATA 1 4000"]
    peer.send(frames.window_update_frame(0, 4_000))
    assert peer.hear() == ["DATA 1 465"]


def test_6_9_1_empty_data_needs_no_credit() -> None:
    peer = sending(0)
    peer.connection.end(peer.streams[1])
    assert peer.hear() == ["DATA 1 0 END"]


def test_6_9_1_windows_beyond_their_largest_size() -> None:
    peer = Peer()
    peer.send(peer.request(), frames.window_update_frame(1, frames.MAX_WINDOW))
    assert peer.hear() == ["RST_STREAM 1 FLOW_CONTROL_ERROR"]
    peer.send(frames.window_update_frame(0, frames.MAX_WINDOW))
    assert peer.closing == "FLOW_CONTROL_ERROR"


def test_6_9_1_more_data_than_the_streams_window() -> None:
    peer = Peer(Limits(stream_window=10))
    peer.send(peer.request(), data(1, b"x" * 11))
    assert peer.hear() == ["RST_STREAM 1 FLOW_CONTROL_ERROR"]


def test_6_9_1_more_data_than_the_connections_window() -> None:
    # Credit comes back by halves of the window, so it takes a frame larger than half.
    peer = Peer(Limits(connection_window=65_536, stream_window=1_000_000, frame_bytes=100_000))
    peer.send(peer.request(), data(1, b"x" * 65_537))
    assert peer.closing == "FLOW_CONTROL_ERROR"


def test_6_9_1_credit_for_digested_data() -> None:
    peer = Peer(Limits(stream_window=10))
    peer.send(peer.request(), data(1, b"x" * 4))
    assert peer.hear() == []
    peer.send(data(1, b"x"))
    assert peer.hear() == ["WINDOW_UPDATE 1 5"]
    assert received(peer.send(data(1, b"y" * 10))) == ["data 1 b'yyyyyyyyyy'"]
    assert peer.hear() == ["WINDOW_UPDATE 1 10"]


def test_6_9_1_no_credit_for_a_request_that_has_ended() -> None:
    peer = Peer(Limits(stream_window=10))
    peer.send(peer.request(), data(1, b"x" * 10, END_STREAM))
    peer.connection.caught_up(peer.streams[1])
    assert peer.hear() == []


def test_6_9_2_initial_window_changes_open_streams_and_may_make_them_negative() -> None:
    peer = sending(10)
    peer.connection.send(peer.streams[1], [b"x" * 20])
    assert peer.hear() == ["DATA 1 10"]
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 4)), frames.window_update_frame(1, 6))
    assert peer.hear() == ["SETTINGS ACK"]  # 10 sent of 10: -6 + 6 is 0
    peer.send(frames.window_update_frame(1, 1))
    assert peer.hear() == ["DATA 1 1"]
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 20)))
    assert peer.hear() == ["DATA 1 9", "SETTINGS ACK"]


def test_6_9_2_initial_window_that_overflows_an_open_stream() -> None:
    peer = sending(0)
    peer.send(frames.window_update_frame(1, 1), settings((Setting.INITIAL_WINDOW_SIZE, frames.MAX_WINDOW)))
    assert peer.closing == "FLOW_CONTROL_ERROR"


def test_6_9_2_initial_window_says_nothing_of_the_connections() -> None:
    peer = sending(1 << 20)
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 1 << 24)))
    peer.hear()
    peer.connection.send(peer.streams[1], [b"x" * 100_000])
    assert sum(int(line.split()[2]) for line in peer.hear()) == 65_535


def test_4_2_and_6_5_2_frames_are_as_large_as_the_client_takes() -> None:
    peer = sending(1 << 20)
    peer.send(settings((Setting.MAX_FRAME_SIZE, 40_000)))
    peer.hear()
    peer.connection.send(peer.streams[1], [b"x" * 60_000])
    assert peer.hear() == ["DATA 1 40000", "DATA 1 20000"]


def test_5_2_streams_take_turns_when_the_connection_has_credit_again() -> None:
    peer = Peer()
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 1 << 20)), *map(peer.request, (1, 3, 5)))
    for stream in peer.streams.values():
        peer.connection.respond(stream, OK)
        peer.connection.send(stream, [b"x" * 65_535])
    peer.hear()
    peer.send(frames.window_update_frame(0, 4 * 16_384))
    assert peer.hear() == ["DATA 3 16384", "DATA 5 16384", "DATA 3 16384", "DATA 5 16384"]


# 6.8 Shutdown


def test_6_8_drain_lets_what_is_under_way_in_and_refuses_the_rest() -> None:
    peer = Peer()
    peer.send(peer.request(1, end=True))
    peer.connection.drain(0)
    assert peer.hear() == [f"GOAWAY {frames.MAX_STREAM_ID} NO_ERROR", "PING draining"]
    assert received(peer.send(peer.request(3, end=True))) == ["request 3 END"]  # it had not seen the GOAWAY
    peer.send(frames.ping_frame(b"draining", ack=True))
    assert peer.hear() == ["GOAWAY 3 NO_ERROR"]
    assert received(peer.send(peer.request(5))) == []
    assert peer.hear() == ["RST_STREAM 5 REFUSED_STREAM"]
    for stream in (1, 3):
        assert not peer.connection.closed
        peer.connection.end(peer.streams[stream], OK)
    assert peer.connection.closed
    assert peer.hear() == ["HEADERS 1 :status=200 END", "HEADERS 3 :status=200 END"]


def test_6_8_drain_without_streams_closes_when_the_client_has_seen_it() -> None:
    peer = Peer()
    peer.connection.drain(0)
    peer.send(frames.ping_frame(b"draining", ack=True))
    assert peer.hear()[-1] == "GOAWAY 0 NO_ERROR"
    assert peer.connection.closed


def test_6_8_drain_does_not_wait_for_a_client_that_does_not_answer() -> None:
    peer = Peer()
    peer.connection.drain(0)
    peer.connection.tick(0.5)
    assert not peer.connection.closed
    peer.connection.tick(1.5)
    assert peer.connection.closed


# 8.1 An early response


def test_8_1_client_is_told_that_the_rest_of_its_request_is_not_wanted() -> None:
    peer = Peer()
    peer.send(peer.request())
    peer.connection.end(peer.streams[1], OK, unwanted=True)
    assert peer.hear() == ["HEADERS 1 :status=200 END", "RST_STREAM 1 NO_ERROR"]
    assert received(peer.send(data(1, b"under way"))) == []


def test_8_1_that_is_said_behind_what_waits_for_credit() -> None:
    peer = Peer()
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)), peer.request())
    peer.connection.respond(peer.streams[1], OK)
    peer.connection.send(peer.streams[1], [b"late"])
    peer.connection.end(peer.streams[1], TRAILERS, unwanted=True)
    assert peer.hear() == ["SETTINGS ACK", "HEADERS 1 :status=200"]
    peer.send(frames.window_update_frame(1, 4))
    assert peer.hear() == ["DATA 1 4", "HEADERS 1 grpc-status=0 END", "RST_STREAM 1 NO_ERROR"]


def test_4_3_half_a_header_block_is_no_stream_yet() -> None:
    peer = Peer()
    block = peer.block()
    assert received(peer.send(frame(frames.HEADERS, 0, 1, block[:3]))) == []
    assert peer.connection.streams == []
    assert received(peer.send(frame(frames.CONTINUATION, END_HEADERS, 1, block[3:]))) == ["request 1"]
