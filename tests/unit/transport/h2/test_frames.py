"""Cutting and writing frames; what they mean is in test_conformance_*.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, H2ConnectionError, PartialFrame, Setting
from tests.h2_peer import whole_frames


@given(st.binary(max_size=100), st.integers(0, 300), st.lists(st.integers(1, 120)))
def test_partial_frame_takes_what_it_needs_however_it_comes(
    payload: bytes, more: int, cuts: list[int]
) -> None:
    """From the end of one read, over any number of others, to the frames that follow it."""
    data = frames.frame(0, 0, 1, payload) + bytes(more)
    partial = PartialFrame(100)
    taken = 1
    partial.begin(data[:taken])
    for size in [*cuts, len(data)]:
        assert len(partial) == taken
        taken += partial.complete(data[taken : taken + size])
        if partial.whole:
            break
    assert partial.take() == data[:taken] == frames.frame(0, 0, 1, payload)
    assert (len(partial), partial.whole) == (0, False)


def test_size_is_known_from_the_head() -> None:
    partial = PartialFrame(100)
    head = frames.frame_head(101, 0, 0, 1)
    partial.begin(head[:5])
    with pytest.raises(H2ConnectionError) as caught:
        partial.complete(head[5:])
    assert caught.value.code is ErrorCode.FRAME_SIZE_ERROR


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1), st.integers(1, 30))
def test_data_frames_are_full_and_copy_nothing(pieces: list[bytes], largest: int) -> None:
    whole = b"".join(pieces)
    written = frames.data_frames(3, pieces, len(whole), largest)
    read = list(whole_frames(b"".join(map(bytes, written))))
    assert b"".join(payload for *_, payload in read) == whole
    assert {len(payload) for *_, payload in read[:-1]} <= {largest}
    assert {each[:3] for each in read} == {(frames.DATA, 0, 3)}
    copied = [each for each in written if not isinstance(each, memoryview) and len(each) != 9]
    assert all(any(each is piece for piece in pieces) for each in copied)


@pytest.mark.parametrize(
    ("written", "hexadecimal"),
    [
        (frames.settings_frame({Setting.MAX_FRAME_SIZE: 16_384}), "000006 04 00 00000000 0005 00004000"),
        (frames.settings_ack(), "000000 04 01 00000000"),
        (frames.ping_frame(b"12345678", ack=True), "000008 06 01 00000000 3132333435363738"),
        (frames.goaway_frame(5, ErrorCode.CANCEL, "x"), "000009 07 00 00000000 00000005 00000008 78"),
        (frames.rst_stream_frame(3, ErrorCode.REFUSED_STREAM), "000004 03 00 00000003 00000007"),
        (frames.window_update_frame(3, 256), "000004 08 00 00000003 00000100"),
        (frames.header_frames(1, b"ab", 9, end_stream=True), "000002 01 05 00000001 6162"),
        (
            frames.header_frames(1, b"abc", 2, end_stream=True),
            "000002 01 01 00000001 6162 000001 09 04 00000001 63",
        ),
    ],
)
def test_bytes_of_frames(written: bytes, hexadecimal: str) -> None:
    assert written == bytes.fromhex(hexadecimal)
