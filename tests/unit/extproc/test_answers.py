"""Bodies in pieces. Errors and destinations are seen in the stream's dialogues."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.extproc.answers import BODY_PIECE_BYTES, cut
from epp.wire.messages import Phase, StreamedBody


@given(st.integers(0, 5 * BODY_PIECE_BYTES), st.booleans())
def test_pieces_are_the_body_and_none_is_too_long(size: int, end: bool) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    pieces = cut(Phase.RESPONSE, body, end=end)
    assert b"".join(piece.data for piece in pieces) == body
    assert all(len(piece.data) <= BODY_PIECE_BYTES for piece in pieces)
    assert [piece.end_of_stream for piece in pieces] == [False] * (len(pieces) - 1) + [end]


@pytest.mark.parametrize("end", [True, False])
def test_nothing_is_one_empty_piece(end: bool) -> None:
    assert cut(Phase.REQUEST, b"", end=end) == [StreamedBody(Phase.REQUEST, b"", end)]
