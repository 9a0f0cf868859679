"""What a scheduling plugin is: the few methods that filters, scorers, pickers and detectors have.

A plugin is any object with the methods of one of these protocols; nothing is inherited. Arrays have one value
per candidate, in the order of the candidates. Plugins read no clock (`endpoints.now` is the time), draw
chance only from the `rng` they are given, and are never called from two requests at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from epp.datastore.endpoints import Candidates, Endpoint, Floats, Mask, Slots
from epp.types import InferenceRequest

if TYPE_CHECKING:
    import random


@runtime_checkable
class Filter(Protocol):
    """Takes candidates out."""

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask:
        """True for each candidate that stays."""


@runtime_checkable
class Scorer(Protocol):
    """Says how well each candidate suits the request."""

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """0 (bad) to 1 (good) for each candidate."""


@runtime_checkable
class Picker(Protocol):
    """Chooses by the weighted sum of the scores."""

    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Slots:
        """Indexes into the candidates, best first, at least one; the others are fallbacks in order."""


@runtime_checkable
class SaturationDetector(Protocol):
    """Says how loaded a set of endpoints is."""

    def saturation(self, endpoints: Candidates) -> float:
        """0 is idle; from 1 on, requests that may be shed are shed."""


@runtime_checkable
class PlacementObserver(Protocol):
    """Wants to know where a request was placed, beside being one of the others."""

    def placed(self, request: InferenceRequest, endpoint: Endpoint) -> None:
        """The request goes to `endpoint`."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """Whom plugins at work are shown to: `ran` is told extension point, type, name and seconds by `clock`.

    `prefix_matched` is told how many bytes of a prompt its endpoint holds, and of how many.
    """

    clock: Callable[[], float] = float
    ran: Callable[[str, str, str, float], object] = lambda point, kind, name, seconds: None
    prefix_matched: Callable[[int, int], object] = lambda hit, size: None


UNWATCHED = Watcher()
