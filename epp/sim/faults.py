"""What is wrong with a simulated server on purpose, and who is struck by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random


class Fate(Enum):
    """What becomes of one request."""

    SERVED = "served"
    FAILS = "fails"  # 500
    HANGS = "hangs"  # no answer until the client leaves or the fault is cleared


@dataclass(frozen=True, slots=True)
class Faults:
    """Rates are 0..1 of inference requests. After `die_after` more answers the server dies; None: never."""

    fail_rate: float = 0.0
    hang_rate: float = 0.0
    die_after: int | None = None

    def fate(self, rng: Random) -> Fate:
        """Draws for one request: failing and hanging exclude each other."""
        draw = rng.random()
        if draw < self.fail_rate:
            return Fate.FAILS
        return Fate.HANGS if draw < self.fail_rate + self.hang_rate else Fate.SERVED
