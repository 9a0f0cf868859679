"""The ends of streams and connections, as the layer above sees them."""

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode
from epp.transport.h2.session import DRAIN_PING
from epp.transport.h2.stream import Stream
from tests.h2_peer import OK, TRAILERS, Peer, data, received


class Stubborn:
    """A receiver that answers whatever it is told, even that all is lost."""

    def __init__(self, peer: Peer, stream: Stream) -> None:
        self.peer, self.stream = peer, stream

    def received(self, data: bytes, start: int, end: int, ended: bool) -> None:
        self.peer.connection.respond(self.stream, OK)
        self.peer.connection.end(self.stream, TRAILERS)

    def resumed(self) -> None:
        raise AssertionError

    def lost(self) -> None:
        self.received(b"", 0, 0, True)


def test_nothing_follows_the_last_goaway() -> None:
    peer = Peer()
    peer.send(peer.request(1), peer.request(3))
    for stream in peer.streams.values():
        stream.receiver = Stubborn(peer, stream)
    peer.send(data(1, b"x"), data(0, b"x"), data(3, b"x"))
    assert peer.hear() == [
        "HEADERS 1 :status=200",
        "HEADERS 1 grpc-status=0 END",
        "GOAWAY 3 PROTOCOL_ERROR",
    ]
    assert peer.connection.streams == []


def test_nothing_follows_a_reset() -> None:
    peer = Peer()
    peer.send(peer.request(1))
    peer.streams[1].receiver = Stubborn(peer, peer.streams[1])
    peer.send(frames.rst_stream_frame(1, ErrorCode.CANCEL))
    assert peer.hear() == []


def test_both_halves_end_in_either_order() -> None:
    peer = Peer()
    peer.send(peer.request(1), peer.request(3))
    peer.connection.end(peer.streams[1], OK)
    assert repr(peer.connection.streams[0]).startswith("<Stream 1 half-closed (local)")
    assert received(peer.send(data(1, b"x"), data(1, b"", frames.END_STREAM))) == [
        "data 1 b'x'",
        "data 1 b'' END",
    ]
    peer.send(data(3, b"", frames.END_STREAM))
    assert repr(peer.connection.streams[0]).startswith("<Stream 3 half-closed (remote)")
    peer.connection.end(peer.streams[3], OK)
    assert peer.connection.streams == []
    assert peer.hear() == ["HEADERS 1 :status=200 END", "HEADERS 3 :status=200 END"]


def test_a_drain_that_ends_with_its_last_stream_amid_a_read() -> None:
    peer = Peer()
    peer.send(peer.request(1))
    peer.connection.drain(0)
    seen = frames.ping_frame(DRAIN_PING, ack=True)
    peer.send(seen, frames.rst_stream_frame(1, ErrorCode.CANCEL), peer.request(3))
    assert peer.hear()[2:] == ["GOAWAY 1 NO_ERROR", "RST_STREAM 3 REFUSED_STREAM"]
    assert peer.connection.closed
