"""Tables of text."""

from __future__ import annotations

from epp.tables import render_table


def test_words_to_the_left_and_numbers_to_the_right() -> None:
    rows = [("one", "1", "a"), ("three", "?", "b"), ("x", "5.5%", "")]
    assert render_table(("name", "count", "of"), rows) == [
        "name   count  of",
        "one        1  a",
        "three      ?  b",
        "x       5.5%",
    ]


def test_a_table_without_rows() -> None:
    assert render_table(("name", "count"), []) == ["name  count"]


def test_negative_numbers_are_numbers() -> None:
    assert render_table(("n",), [("-1.5",), ("10.25",)]) == ["    n", " -1.5", "10.25"]
