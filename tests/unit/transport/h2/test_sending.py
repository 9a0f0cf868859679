"""The queue of answers and its bound; credit itself is in test_conformance_streams.py."""

from hypothesis import given
from hypothesis import strategies as st

from epp.transport.h2 import frames
from epp.transport.h2.frames import Setting
from epp.transport.h2.limits import Limits
from tests.h2_peer import OK, TRAILERS, Peer, received, settings, whole_frames


def test_choked_stream_is_told_when_half_of_its_queue_has_gone() -> None:
    peer = Peer(Limits(send_queue_bytes=1_000))
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)), peer.request())
    stream = peer.streams[1]
    peer.connection.respond(stream, OK)
    peer.connection.send(stream, [b"x" * 1_000])
    assert not stream.choked
    peer.connection.send(stream, [b"x"])
    assert stream.choked
    assert peer.tally.buffered == 1_001
    assert received(peer.send(frames.window_update_frame(1, 500))) == []
    assert received(peer.send(frames.window_update_frame(1, 1))) == ["credit 1"]
    assert received(peer.send(frames.window_update_frame(1, 500))) == []
    assert peer.tally.buffered == 0


def test_several_small_answers_go_in_one_frame() -> None:
    peer = Peer()
    peer.send(peer.request())
    peer.connection.respond(peer.streams[1], OK)
    peer.connection.send(peer.streams[1], [b"one", b"two"])
    assert peer.hear() == ["HEADERS 1 :status=200", "DATA 1 6"]


@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=8), st.lists(st.integers(1, 30_000)))
def test_any_credit_brings_all_bytes_in_order(sizes: list[int], credits: list[int]) -> None:
    peer = Peer()
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)), peer.request(end=True))
    stream = peer.streams[1]
    peer.connection.respond(stream, OK)
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    for piece in pieces:
        peer.connection.send(stream, [piece])
    peer.connection.end(stream, TRAILERS)
    for credit in [*credits, sum(sizes)]:
        peer.send(frames.window_update_frame(1, credit), frames.window_update_frame(0, credit))
    written = b"".join(map(bytes, peer.connection.take_output()))
    read = list(whole_frames(written))
    assert b"".join(payload for kind, _, _, payload in read if kind == frames.DATA) == b"".join(pieces)
    assert read[-1][:2] == (frames.HEADERS, frames.END_STREAM | frames.END_HEADERS)
    assert peer.connection.streams == []
    assert peer.tally.buffered == 0
