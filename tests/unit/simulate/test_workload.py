"""Synthetic text shares a prefix as far as its pieces agree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from epp.simulate.workload import Piece, text

PIECES = st.lists(st.builds(Piece, st.sampled_from("abc"), st.integers(0, 40)), max_size=5)


def test_a_token_is_four_bytes() -> None:
    assert len(text([Piece("a", 3), Piece("b", 0), Piece("c", 5)])) == 32


def test_equal_keys_are_equal_text_of_any_length() -> None:
    assert text([Piece("a", 100)]).startswith(text([Piece("a", 7)]))


def test_other_keys_differ_from_the_first_token_on() -> None:
    assert text([Piece("a", 1)]) != text([Piece("b", 1)])


@given(PIECES, PIECES, PIECES)
def test_prompts_share_what_their_pieces_share(
    shared: list[Piece], one: list[Piece], other: list[Piece]
) -> None:
    common = 4 * sum(piece.tokens for piece in shared)
    assert text([*shared, *one])[:common] == text([*shared, *other])[:common] == text(shared)
