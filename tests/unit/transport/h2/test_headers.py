"""What header blocks begin and end; their rules are in the RFC suites."""

from epp.transport.h2 import frames
from epp.transport.h2.frames import END_HEADERS, END_STREAM
from epp.transport.h2.header_blocks import Fields
from epp.transport.h2.stream import Stream
from tests.h2_peer import OK, TRAILERS, Peer, data, received


def test_a_request_in_one_frame_in_several_and_with_trailers() -> None:
    peer = Peer()
    first, block = peer.request(1, end=True), peer.block()
    assert received(peer.send(first, frames.frame(frames.HEADERS, 0, 3, block[:2]))) == ["request 1 END"]
    assert received(peer.send(frames.frame(frames.CONTINUATION, 0, 3, block[2:4]))) == []
    assert received(peer.send(frames.frame(frames.CONTINUATION, END_HEADERS, 3, block[4:]))) == ["request 3"]
    trailers = frames.frame(frames.HEADERS, END_HEADERS | END_STREAM, 3, peer.block([("a", "b")]))
    assert received(peer.send(data(3, b"body"), trailers)) == ["data 3 b'body'", "data 3 b'' END"]


def test_a_request_may_be_answered_right_where_it_is_told_of() -> None:
    class Eager(Peer):
        def on_request(self, stream: Stream, fields: Fields, ended: bool) -> None:
            self.connection.respond(stream, OK)
            self.connection.end(stream, TRAILERS, unwanted=True)

    peer = Eager()
    peer.send(peer.request(1, end=True), peer.request(3))
    assert peer.hear() == [
        "HEADERS 1 :status=200",
        "HEADERS 1 grpc-status=0 END",
        "HEADERS 3 :status=200",
        "HEADERS 3 grpc-status=0 END",
        "RST_STREAM 3 NO_ERROR",
    ]
    assert peer.connection.streams == []
