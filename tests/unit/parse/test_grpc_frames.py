"""gRPC's frames: one message of a call, and the messages of an answer however they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.parse.grpc_frames import MAX_MESSAGE_BYTES, FrameReader, first_message


def frame(message: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(message).to_bytes(4) + message


def test_one_message() -> None:
    assert bytes(first_message(frame(b"hello"))) == b"hello"
    assert bytes(first_message(frame(b""))) == b""
    assert bytes(first_message(frame(b"hello")[:7], complete=False)) == b"he"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "no message"),
        (b"\x00\x00", "no message"),
        (frame(b"hello", 1), "compressed"),
        (frame(b"hello")[:-1], "not as long as it says"),
        (frame(b"hello") + b"!", "not as long as it says"),
    ],
)
def test_what_is_no_message(body: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        first_message(body)


@given(st.lists(st.binary(max_size=20), max_size=6), st.lists(st.integers(0, 100), max_size=10))
def test_messages_however_they_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, messages))
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    reader = FrameReader()
    found = [m for a, b in pairwise(places) for m in reader.feed(stream[a:b])]
    assert found == messages


def test_compressed_and_long_messages_are_left_out_and_not_kept() -> None:
    reader = FrameReader()
    assert reader.feed(frame(b"a") + frame(b"compressed", 1) + frame(b"b")) == [b"a", b"b"]
    long = frame(b"x" * (MAX_MESSAGE_BYTES + 1))
    assert reader.feed(long[:100_000]) == []
    assert repr(reader) == f"<FrameReader held=0 skip={len(long) - 100_000}>"
    assert reader.feed(long[100_000:] + frame(b"c")[:3]) == []
    assert reader.feed(frame(b"c")[3:]) == [b"c"]
    longest = frame(b"x" * MAX_MESSAGE_BYTES)
    assert [len(message) for message in reader.feed(longest)] == [MAX_MESSAGE_BYTES]
