"""A profile: filters, weighted scorers and a picker, run in this order over the candidates' columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from epp.datastore.endpoints import Candidates
from epp.errors import NoEndpointError
from epp.plugin import UNWATCHED, Filter, Picker, PlacementObserver, Scorer, Watcher
from epp.scheduling.decision import Decision
from epp.types import InferenceRequest

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class NamedFilter:
    """A filter as a profile lists it."""

    name: str
    type: str
    plugin: Filter


@dataclass(frozen=True, slots=True)
class WeightedScorer:
    """A scorer as a profile lists it."""

    name: str
    type: str
    plugin: Scorer
    weight: float


class Profile:
    """One way to choose an endpoint."""

    def __init__(
        self,
        name: str,
        filters: Sequence[NamedFilter],
        scorers: Sequence[WeightedScorer],
        picker: Picker,
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self.name = name
        self._watcher = watcher
        self._filters = tuple(filters)
        self._scorers = tuple(scorers)
        self._picker = picker
        self._weights = {scorer.name: scorer.weight for scorer in scorers}
        self._weight_row = np.array([scorer.weight for scorer in scorers], np.float64)
        plugins = (*(f.plugin for f in filters), *(s.plugin for s in scorers), picker)
        self._observers = tuple(plugin for plugin in plugins if isinstance(plugin, PlacementObserver))

    def __repr__(self) -> str:
        scorers = " ".join(f"{scorer.name}*{scorer.weight:g}" for scorer in self._scorers)
        return f"<Profile {self.name}: {scorers}>"

    def run(self, request: InferenceRequest, candidates: Candidates, rng: random.Random) -> Decision:
        """Chooses. Raises NoEndpointError if the filters leave nothing."""
        started = self._watcher.clock()
        removed: dict[str, int] = {}
        for named in self._filters:
            mask = named.plugin.filter(request, candidates)
            if np.count_nonzero(mask) < len(mask):
                kept = candidates.only(mask)
                removed[named.name] = len(candidates) - len(kept)
                candidates = kept
            started = self._ran("Filter", named, started)
        if not len(candidates):
            raise NoEndpointError("no endpoint is left for the request after filtering")
        scores = np.empty((len(self._scorers), len(candidates)))
        for row, scorer in zip(scores, self._scorers, strict=True):
            row[:] = scorer.plugin.score(request, candidates)
            started = self._ran("Scorer", scorer, started)
        # fmax, and not clip, so that a score that is NaN counts as 0 instead of spoiling the total.
        np.fmin(np.fmax(scores, 0.0, out=scores), 1.0, out=scores)
        totals = self._weight_row @ scores
        picks = self._picker.pick(totals, candidates, rng)
        return Decision(
            profile=self.name,
            picked=tuple(candidates.at(index) for index in picks.tolist()),
            candidates=candidates.slots,
            roster=candidates.roster,
            removed=removed,
            scores=dict(zip(self._weights, scores, strict=True)),
            weights=self._weights,
            totals=totals,
        )

    def _ran(self, extension_point: str, plugin: NamedFilter | WeightedScorer, started: float) -> float:
        """Tells how long a plugin took; the time now, at which the next one starts."""
        now = self._watcher.clock()
        self._watcher.ran(extension_point, plugin.type, plugin.name, now - started)
        return now

    def placed(self, request: InferenceRequest, decision: Decision) -> None:
        """Tells the plugins that want to know where the request goes."""
        for observer in self._observers:
            observer.placed(request, decision.picked[0])
