"""Each bound as a client meets it: what it does, what it hears, and the name that is counted."""

from collections.abc import Callable

import pytest

from epp.transport.h2 import frames
from epp.transport.h2.frames import END_HEADERS, ErrorCode, Setting, frame
from epp.transport.h2.limits import Bucket, Limits, Rate, Tally
from tests.h2_peer import OK, Peer, data, received, settings

FEW = Rate(burst=3, per_second=1)


def test_bucket_fills_up_again_but_not_beyond_its_burst() -> None:
    bucket = Bucket(Rate(burst=2, per_second=0.5), 0)
    assert [bucket.take(0), bucket.take(0), bucket.take(1), bucket.take(2), bucket.take(2)] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert [bucket.take(1_000) for _ in range(3)] == [True, True, False]


def early_reset(peer: Peer, at: int) -> bytes:
    stream = 2 * at + 1
    return peer.request(stream) + frames.rst_stream_frame(stream, ErrorCode.CANCEL)


def malformed(peer: Peer, at: int) -> bytes:
    """We reset what the client makes us reset: the same attack from the other side."""
    return peer.request(2 * at + 1, [(":method", "POST")])


FLOODS: dict[str, tuple[str, Callable[[Peer, int], bytes]]] = {
    "rapid reset": ("early_resets", early_reset),
    "made to reset": ("early_resets", malformed),
    "PING": ("pings", lambda *_: frames.ping_frame(b"12345678", ack=False)),
    "answers to no PING": ("pings", lambda *_: frames.ping_frame(b"12345678", ack=True)),
    "SETTINGS": ("settings", lambda *_: frames.settings_frame({})),
    "answers to no SETTINGS": ("settings", lambda *_: frames.settings_ack()),
    "PRIORITY": ("idle_frames", lambda *_: frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\1")),
    "unknown": ("idle_frames", lambda *_: frame(0x20, 0, 0, b"")),
    "credit": ("idle_frames", lambda *_: frames.window_update_frame(0, 1)),
    "GOAWAY": ("idle_frames", lambda *_: frames.goaway_frame(0, ErrorCode.NO_ERROR)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods(name: str) -> None:
    limit, send = FLOODS[name]
    limits = Limits(early_resets=FEW, pings=FEW, settings=Rate(4, 1), empty_frames=FEW, idle_frames=FEW)
    peer = Peer(limits)  # whose greeting was one of four SETTINGS
    for at in range(3):
        peer.send(send(peer, at))
    assert not peer.connection.closed
    peer.now = 1.0
    peer.send(send(peer, 3))
    assert not peer.connection.closed
    peer.send(send(peer, 4))
    assert peer.closing == "ENHANCE_YOUR_CALM"
    assert peer.hits == [limit]


def test_flood_of_empty_data() -> None:
    peer = Peer(Limits(empty_frames=FEW))
    peer.send(peer.request(), data(1, b""), data(1, b"\2\0\0", frames.PADDED), data(1, b""))
    assert not peer.connection.closed
    peer.send(data(1, b""))
    assert peer.closing == "ENHANCE_YOUR_CALM"
    assert peer.hits == ["empty_frames"]


def test_resets_of_answered_streams_are_free() -> None:
    peer = Peer(Limits(early_resets=FEW))
    for stream in range(1, 41, 2):
        peer.send(peer.request(stream))
        peer.connection.respond(peer.streams[stream], OK)
        peer.send(frames.rst_stream_frame(stream, ErrorCode.CANCEL))
    assert not peer.connection.closed


def test_too_many_continuations() -> None:
    peer = Peer(Limits(continuations=2))
    part = frame(frames.CONTINUATION, 0, 1, b"")
    peer.send(frame(frames.HEADERS, 0, 1, peer.block()), part, part)
    assert not peer.connection.closed
    peer.send(part)
    assert peer.closing == "ENHANCE_YOUR_CALM"
    assert peer.hits == ["continuations"]


def test_header_block_too_large() -> None:
    peer = Peer()
    peer.send(frame(frames.HEADERS, 0, 1, bytes(16_384)))
    peer.send(*[frame(frames.CONTINUATION, 0, 1, bytes(16_384))] * 3)
    assert not peer.connection.closed
    peer.send(frame(frames.CONTINUATION, 0, 1, b"\0"))
    assert peer.closing == "ENHANCE_YOUR_CALM"
    assert peer.hits == ["header_block_bytes"]


def test_small_block_that_grows_to_a_large_list() -> None:
    """A field of 4,000 bytes inserted once and named a thousand times."""
    peer = Peer()
    bomb = b"\x83\x86\x84\x40\1x\x7f\xa1\x1e" + b"y" * 4_000 + b"\xbe" * 1_000
    peer.send(frame(frames.HEADERS, END_HEADERS, 1, bomb))
    assert peer.closing == "ENHANCE_YOUR_CALM"


# Time


def test_handshake_that_does_not_come() -> None:
    peer = Peer(greet=False)
    peer.send(frames.PREFACE)
    peer.connection.tick(10)
    assert not peer.connection.closed
    peer.connection.tick(10.1)
    assert peer.closing == "ENHANCE_YOUR_CALM"
    assert peer.hits == ["handshake"]


@pytest.mark.parametrize("start", [b"\0\0\10", frame(frames.HEADERS, 0, 1, b"\x83")])
def test_frame_or_block_that_does_not_end(start: bytes) -> None:
    peer = Peer()
    peer.now = 25.0
    peer.send(start)
    peer.connection.tick(35)
    assert not peer.connection.closed
    peer.connection.tick(35.1)
    assert peer.closing == "ENHANCE_YOUR_CALM"
    assert peer.hits == ["unfinished"]


def test_drops_of_a_frame_do_not_buy_time() -> None:
    peer = Peer()
    for second, byte in enumerate(frames.ping_frame(b"12345678", ack=False)[:-1]):
        peer.now = float(second)
        peer.send(bytes([byte]))
        peer.connection.tick(peer.now)
    assert peer.closing == "ENHANCE_YOUR_CALM"
    assert peer.hits == ["unfinished"]


def test_silent_client_is_asked_and_given_up() -> None:
    peer = Peer()
    peer.send(peer.request())
    peer.connection.tick(30.1)
    assert peer.hear() == ["PING alive?  "]
    peer.connection.tick(40)
    peer.connection.tick(40.2)
    assert received(peer.happened()) == ["lost 1"]
    assert peer.closing == "ENHANCE_YOUR_CALM"
    assert peer.hits == ["keepalive"]


def test_any_sign_of_life_will_do() -> None:
    peer = Peer()
    peer.connection.tick(31)
    peer.now = 40.0
    peer.send(frames.ping_frame(b"alive?  ", ack=True))
    peer.connection.tick(60)
    assert not peer.connection.closed


def test_stream_without_credit_is_given_up() -> None:
    peer = Peer(Limits(keepalive=1e9))
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 4)), peer.request(1), peer.request(3))
    peer.connection.respond(peer.streams[1], OK)
    peer.connection.send(peer.streams[1], [b"hello"])
    peer.hear()
    peer.connection.tick(300)
    assert peer.happened() == []
    peer.connection.tick(300.1)
    assert received(peer.happened()) == ["lost 1"]
    assert peer.hear() == ["RST_STREAM 1 ENHANCE_YOUR_CALM"]
    assert peer.hits == ["stalled"]
    assert peer.tally.buffered == 0


def test_idle_connection_is_drained() -> None:
    peer = Peer(Limits(keepalive=1e9))
    peer.connection.tick(3600)
    assert peer.hear() == []
    peer.connection.tick(3600.1)
    assert peer.hear()[0] == f"GOAWAY {frames.MAX_STREAM_ID} NO_ERROR"
    assert peer.hits == ["idle"]


def test_tally_is_one_line() -> None:
    assert repr(Tally(print)) == "<Tally 0 bytes held>"
