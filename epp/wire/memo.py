"""What is made from a key and asked for again and again, remembered within a bound."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Memo(dict[_Key, _Value]):
    """`memo[key]` is `make(key)`, made once for as long as it is remembered. What `make` raises is raised.

    Holds up to `limit` values and forgets all when it is full: what is asked for often is soon back, and a
    look-up costs half of functools.lru_cache's, which keeps an order. Keys that `keep` refuses are not held.
    """

    __slots__ = ("_keep", "_limit", "_make")

    def __init__(
        self, make: Callable[[_Key], _Value], limit: int, keep: Callable[[_Key], bool] = lambda key: True
    ) -> None:
        self._make = make
        self._limit = limit
        self._keep = keep

    def __missing__(self, key: _Key) -> _Value:
        value = self._make(key)
        if self._keep(key):
            if len(self) >= self._limit:
                self.clear()
            self[key] = value
        return value
