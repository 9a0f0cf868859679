"""RFC 7541 as a server has to keep it. Each test names its section."""

import pytest
from hpack import Encoder

from epp.transport.h2 import frames
from epp.transport.h2.frames import END_HEADERS, Setting, frame
from tests.h2_peer import OK, Peer, RequestReceived, settings, whole_frames

# :method POST, :scheme http, :path /
REQUEST = b"\x83\x86\x84"


def fields_of(*blocks: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of the last of these blocks beyond `REQUEST`, on one connection."""
    peer = Peer()
    events = peer.send(
        *(frame(frames.HEADERS, END_HEADERS, 2 * at + 1, block) for at, block in enumerate(blocks))
    )
    assert isinstance(events[-1], RequestReceived)
    return events[-1].fields[3:]


def closed_by(block: bytes) -> str:
    peer = Peer()
    peer.send(frame(frames.HEADERS, END_HEADERS, 1, block))
    return peer.closing


def test_2_3_2_inserted_fields_are_found_by_index() -> None:
    assert fields_of(REQUEST + b"\x40\1a\1b", REQUEST + b"\xbe") == ((b"a", b"b"),)


def test_4_4_entries_are_evicted_oldest_first() -> None:
    small = b"\x3f\x24"  # the table's size: 31 + 36 = 67, two entries of 33
    blocks = (small + REQUEST + b"\x40\1a\0\x40\1b\0\x40\1c\0", REQUEST + b"\xbe\xbf")
    assert fields_of(*blocks) == ((b"c", b""), (b"b", b""))
    peer = Peer()
    peer.send(frame(frames.HEADERS, END_HEADERS, 1, blocks[0]))
    peer.send(frame(frames.HEADERS, END_HEADERS, 3, REQUEST + b"\xc0"))
    assert peer.closing == "COMPRESSION_ERROR"


def test_4_4_entry_larger_than_the_table_empties_it() -> None:
    large = Encoder().encode([("x", "y" * 4096)], huffman=False)
    peer = Peer()
    peer.send(frame(frames.HEADERS, END_HEADERS, 1, REQUEST + b"\x40\1a\1b" + large))
    peer.send(frame(frames.HEADERS, END_HEADERS, 3, REQUEST + b"\xbe"))
    assert peer.closing == "COMPRESSION_ERROR"


@pytest.mark.parametrize("block", [b"\x80", b"\xbe", b"\xff\xff\xff\xff\xff\x0f", b"\x7f\x81\x01\0"])
def test_2_3_3_and_6_1_index_of_nothing(block: bytes) -> None:
    assert closed_by(REQUEST + block) == "COMPRESSION_ERROR"


@pytest.mark.parametrize("block", [b"\xff" + b"\x80" * 9 + b"\1", b"\x7f" + b"\xff" * 12])
def test_5_1_integers_that_are_too_long(block: bytes) -> None:
    assert closed_by(REQUEST + block) == "COMPRESSION_ERROR"


@pytest.mark.parametrize(
    "block", [b"\xff", b"\x40", b"\x40\1", b"\x40\1a", b"\x40\1a\5b", b"\0\x81", b"\x0f"]
)
def test_5_blocks_that_are_cut_off(block: bytes) -> None:
    assert closed_by(REQUEST + block) == "COMPRESSION_ERROR"


@pytest.mark.parametrize(
    "string",
    [
        b"\x84\x49\x50\x9f\xff",  # "test" with padding longer than 7 bits
        b"\x83\x49\x50\x90",  # "test" padded with zeros
        b"\x87\x49\x50\x9f\xff\xff\xff\xfc",  # "test" and EOS
    ],
)
def test_5_2_huffman_strings_that_are_none(string: bytes) -> None:
    assert closed_by(REQUEST + b"\0\1a" + string) == "COMPRESSION_ERROR"


@pytest.mark.parametrize(("kind", "prefix"), [("without indexing", b"\0"), ("never indexed", b"\x10")])
def test_6_2_2_and_6_2_3_fields_that_are_not_inserted(kind: str, prefix: bytes) -> None:
    assert fields_of(REQUEST + prefix + b"\1a\1b") == ((b"a", b"b"),)
    peer = Peer()
    peer.send(frame(frames.HEADERS, END_HEADERS, 1, REQUEST + prefix + b"\1a\1b"))
    peer.send(frame(frames.HEADERS, END_HEADERS, 3, REQUEST + b"\xbe"))
    assert peer.closing == "COMPRESSION_ERROR"


def test_4_2_size_update_comes_first_in_a_block() -> None:
    assert closed_by(REQUEST + b"\x20") == "COMPRESSION_ERROR"
    assert fields_of(b"\x20\x3f\xe1\x1f" + REQUEST) == ()


def test_6_3_size_beyond_what_we_allow() -> None:
    assert closed_by(b"\x3f\xe2\x1f" + REQUEST) == "COMPRESSION_ERROR"  # 4097


def test_9113_4_3_block_that_cannot_be_read_ends_the_connection_whatever_its_stream() -> None:
    peer = Peer()
    peer.send(peer.request(1), frame(frames.HEADERS, END_HEADERS | frames.END_STREAM, 1, b"\x80"))
    assert peer.closing == "COMPRESSION_ERROR"


@pytest.mark.parametrize("size", [0, 1, 4096, 1 << 20])
def test_4_2_our_blocks_hold_for_every_size_that_the_client_allows(size: int) -> None:
    """The first one says that we use no table; the reader of `Peer` would fail at one that does."""
    peer = Peer()
    peer.send(settings((Setting.HEADER_TABLE_SIZE, size)), peer.request(1), peer.request(3))
    peer.connection.respond(peer.streams[1], (*OK, (b"x", b"y")))
    peer.connection.respond(peer.streams[3], (*OK, (b"x", b"y")))
    data = b"".join(map(bytes, peer.connection.take_output()))
    blocks = [payload for kind, _, _, payload in whole_frames(data) if kind == frames.HEADERS]
    assert blocks[0] == b"\x20" + blocks[1]
