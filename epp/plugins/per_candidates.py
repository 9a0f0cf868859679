"""What follows from the candidates alone, such as a mask by their labels, kept while they are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from epp.datastore.endpoints import Candidates

T = TypeVar("T")


class PerCandidates(Generic[T]):
    """`make(candidates)`, made once for the same candidates one after the other.

    The candidates of requests that the gateway sets no limit to are the same object until an endpoint comes,
    goes or changes.
    """

    def __init__(self, make: Callable[[Candidates], T]) -> None:
        self._make = make
        self._latest: tuple[Candidates, T] | None = None

    def __repr__(self) -> str:
        return f"<PerCandidates {self._make!r}>"

    def __call__(self, endpoints: Candidates) -> T:
        """What `make` says of `endpoints`."""
        latest = self._latest
        if latest is None or latest[0] is not endpoints:
            self._latest = latest = (endpoints, self._make(endpoints))
        return latest[1]
