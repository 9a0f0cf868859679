"""Credit for data; the rules for DATA frames are in the RFC suites."""

from epp.transport.h2.limits import Limits
from tests.h2_peer import Peer, data


def test_credit_for_a_stream_once_half_of_its_window_is_used() -> None:
    peer = Peer(Limits(stream_window=10))
    peer.send(peer.request(), data(1, b"x" * 4))
    assert peer.hear() == []
    peer.send(data(1, b"x"))
    assert peer.hear() == ["WINDOW_UPDATE 1 5"]


def test_no_credit_while_the_layer_above_is_behind() -> None:
    peer = Peer(Limits(stream_window=10))
    peer.send(peer.request())
    peer.streams[1].behind = True
    peer.send(data(1, b"x" * 10))
    assert peer.hear() == []
    peer.connection.caught_up(peer.streams[1])
    assert peer.hear() == ["WINDOW_UPDATE 1 10"]


def test_no_credit_where_nobody_has_use_for_it() -> None:
    peer = Peer(Limits(stream_window=10))
    peer.send(peer.request())
    peer.streams[1].receiver = None
    assert peer.send(data(1, b"x" * 10)) == []
    assert peer.hear() == []


def test_credit_for_the_connection_whatever_becomes_of_the_data() -> None:
    peer = Peer(Limits(connection_window=65_536))
    peer.send(peer.request(1), peer.request(3))
    peer.streams[1].receiver = None
    peer.streams[3].behind = True
    for stream in (1, 3):
        for _ in range(2):
            peer.send(data(stream, b"x" * 16_384))
        assert peer.hear() == ["WINDOW_UPDATE 0 32768"]
