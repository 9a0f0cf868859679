"""A saturation detector that misbehaves sheds nobody."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from epp.datastore.endpoints import Candidates
from epp.plugin import Misbehaviour, Watcher
from epp.plugins.utilization_detector import UtilizationDetector
from epp.scheduling.detector import WatchedDetector
from tests.pools import everyone, load, store_of

POOL = everyone(store_of(load(4, 0.0)))


@dataclass
class Says:
    """A detector that says what it is told to, or raises it."""

    value: Any

    def saturation(self, endpoints: Candidates) -> float:
        if isinstance(self.value, Exception):
            raise self.value
        value: float = self.value
        return value


def test_what_it_says_counts() -> None:
    detector = WatchedDetector("mine", "utilization-detector", UtilizationDetector())
    assert detector.saturation(POOL) == pytest.approx(0.8)
    assert repr(detector) == "<WatchedDetector mine>"


@pytest.mark.parametrize(
    ("value", "saturation", "how"),
    [
        (1, 1.0, None),
        (math.inf, math.inf, None),
        (math.nan, 0.0, "not a number"),
        ("much", 0.0, "raised"),
        (None, 0.0, "raised"),
        (KeyError("a"), 0.0, "raised"),
    ],
)
def test_what_it_may_say(value: Any, saturation: float, how: Misbehaviour | None) -> None:
    told: list[tuple[str, str, str]] = []
    watcher = Watcher(misbehaved=lambda kind, name, how, error: told.append((kind, name, how)))
    assert WatchedDetector("mine", "says", Says(value), watcher).saturation(POOL) == saturation
    assert told == ([] if how is None else [("says", "mine", how)])
