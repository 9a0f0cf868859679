"""A mean that forgets."""

from __future__ import annotations


class FadingMean:
    """The mean of what was seen lately: every value counts 1/e after `memory` others.

    `first` is believed as much as one value.
    """

    def __init__(self, first: float, memory: float) -> None:
        self._fade = 1.0 - 1.0 / memory
        self._sum = first
        self._weight = 1.0

    def __repr__(self) -> str:
        return f"<FadingMean {self.value:.4g}>"

    @property
    def value(self) -> float:
        """The mean."""
        return self._sum / self._weight

    def add(self, value: float) -> None:
        """One more was seen."""
        self._sum = self._fade * self._sum + value
        self._weight = self._fade * self._weight + 1.0
