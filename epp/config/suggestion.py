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
