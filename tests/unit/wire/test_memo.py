"""What is remembered, and that it stays within its bound."""

from __future__ import annotations

import pytest

from epp.wire.memo import Memo


def test_a_value_is_made_once() -> None:
    made: list[str] = []

    def length(word: str) -> int:
        made.append(word)
        return len(word)

    memo = Memo(length, limit=8)
    assert [memo["one"], memo["three"], memo["one"]] == [3, 5, 3]
    assert made == ["one", "three"]


def test_a_full_one_starts_anew() -> None:
    memo = Memo(str, limit=3)
    for number in range(4):
        assert memo[number] == str(number)
    assert memo == {3: "3"}


def test_what_is_not_to_be_kept_is_made_each_time() -> None:
    memo = Memo(str.upper, limit=8, keep=lambda word: len(word) < 4)
    assert [memo["one"], memo["three"]] == ["ONE", "THREE"]
    assert memo == {"one": "ONE"}


def test_what_cannot_be_made_is_not_remembered() -> None:
    def parse(text: str) -> int:
        return int(text)

    memo = Memo(parse, limit=8)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            memo["x"]
    assert memo == {}
