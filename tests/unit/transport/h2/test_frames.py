"""Cutting and writing frames; what they mean is in test_conformance_*.py."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, FrameReader, H2ConnectionError, Setting

FRAMES = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, frames.MAX_STREAM_ID), st.binary())
)


@given(FRAMES, st.lists(st.integers(0, 10_000)))
def test_what_is_written_is_read_however_it_is_cut(written: list[frames.Frame], cuts: list[int]) -> None:
    data = b"".join(frames.frame(*each) for each in written)
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    reader = FrameReader()
    read = [each for at, end in pairwise(places) for each in reader.feed(data[at:end])]
    assert read == written
    assert reader.pending == 0


def test_pending_is_the_start_of_a_frame() -> None:
    reader = FrameReader()
    assert list(reader.feed(frames.frame(0, 0, 1, b"abc")[:-1])) == []
    assert reader.pending == 11


def test_size_is_known_from_the_head() -> None:
    reader = FrameReader(100)
    with pytest.raises(H2ConnectionError) as caught:
        list(reader.feed(frames.frame_head(101, 0, 0, 1)))
    assert caught.value.code is ErrorCode.FRAME_SIZE_ERROR


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
