"""What frames without a request tell the layer above; the rules are in test_conformance_frames.py."""

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, Setting
from tests.h2_peer import OK, Peer, received, settings


def test_a_reset_is_told_once_and_frees_what_waited() -> None:
    peer = Peer()
    peer.send(peer.request(), settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    peer.connection.respond(peer.streams[1], OK)
    peer.connection.send(peer.streams[1], [b"waits"])
    assert peer.tally.buffered == 5
    reset = frames.rst_stream_frame(1, ErrorCode.CANCEL)
    assert received(peer.send(reset, reset)) == ["lost 1"]
    assert peer.tally.buffered == 0


def test_credit_of_each_kind_resumes_a_choked_stream() -> None:
    wide = settings((Setting.INITIAL_WINDOW_SIZE, 1 << 20))
    for credits in (
        (frames.window_update_frame(1, 1 << 20), frames.window_update_frame(0, 1 << 20)),
        (frames.window_update_frame(0, 1 << 20), wide),
    ):
        peer = Peer()
        peer.send(peer.request())
        peer.connection.respond(peer.streams[1], OK)
        peer.connection.send(peer.streams[1], [bytes(300_000)])
        assert peer.streams[1].choked
        assert received(peer.send(credits[0])) == []
        assert received(peer.send(credits[1])) == ["credit 1"]
