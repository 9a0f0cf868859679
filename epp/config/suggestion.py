"""The nearest right name to a wrong one, for whoever mistyped it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like `word`, in whatever case it was written; None if none is like it."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to append to the complaint about `word`; "" if nothing is like it."""
    name = nearest(word, known)
    return f'; did you mean "{name}"?' if name else ""


def mistyped(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` is but for case, underscores or dashes, and at most two wrong characters.

    Stricter than `nearest`: names that are merely alike may well be different things (`maxBlocks` and
    `maxTokens`). Short words must be closer: one wrong character in four.
    """
    plain = _plain(word)
    for name in known:
        allowed = min(2, len(name) // 4)
        if _distance(plain, _plain(name), allowed) <= allowed:
            return name
    return None


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def _distance(a: str, b: str, most: int) -> int:
    """How many characters to change, add or take out to get from `a` to `b`; over `most`: any number."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (left != right))
    return row[-1]
