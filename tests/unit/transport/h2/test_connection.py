"""What holds for any client at all. The rules one by one are in test_conformance_*.py."""

from hypothesis import given
from hypothesis import strategies as st

from epp.transport.h2.frames import ErrorCode
from tests.h2_dialogues import CLIENTS, serve
from tests.h2_peer import OK, Peer, received

CUTS = st.lists(st.integers(0, 1 << 16), max_size=20)


@given(CLIENTS, CUTS)
def test_any_split_of_the_bytes_means_the_same(data: bytes, cuts: list[int]) -> None:
    """To a server that says nothing: what streams are open also depends on when it answers."""
    split, whole = serve(data, cuts, mute=True), serve(data, [], mute=True)
    assert split.told == whole.told
    assert split.written == whole.written


@given(CLIENTS)
def test_byte_by_byte(data: bytes) -> None:
    assert serve(data, list(range(len(data))), mute=True).told == serve(data, [], mute=True).told


@given(st.one_of(CLIENTS, st.binary()), CUTS)
def test_no_client_gets_more_than_a_goaway(data: bytes, cuts: list[int]) -> None:
    """Nothing is raised, nothing grows (`Server.check`), and a broken connection is told why, once."""
    server = serve(data, cuts)
    reasons = [code for _, code in server.last_words if code is not ErrorCode.NO_ERROR]
    assert len(reasons) == server.connection.closed


def test_one_line() -> None:
    peer = Peer()
    peer.send(peer.request(7))
    assert repr(peer.connection) == "<Connection open 1 streams, last 7>"
    peer.connection.drain(0)
    assert repr(peer.connection) == "<Connection draining 1 streams, last 7>"


def test_client_that_is_gone_takes_its_streams_with_it() -> None:
    peer = Peer()
    peer.send(peer.request(1), peer.request(3))
    peer.connection.respond(peer.streams[1], OK)
    peer.connection.send(peer.streams[1], [b"x" * 100_000])
    assert peer.tally.buffered == 100_000 - 65_535
    peer.connection.abandon()
    assert received(peer.happened()) == ["lost 1", "lost 3"]
    assert peer.connection.closed
    assert peer.tally.buffered == 0


def test_held_connection_sends_no_data_but_answers() -> None:
    peer = Peer()
    peer.send(peer.request(1), peer.request(3))
    peer.connection.hold(True, 0)
    for stream in peer.streams.values():
        peer.connection.respond(stream, OK)
        peer.connection.send(stream, [b"hello"])
        peer.connection.end(stream)
    assert peer.hear() == ["HEADERS 1 :status=200", "HEADERS 3 :status=200"]
    peer.connection.hold(False, 0)
    assert peer.hear() == ["DATA 1 5 END", "DATA 3 5 END"]
