"""A profile: filters, weighted scorers and a picker, run in this order over the candidates' columns.

All that does not depend on the request is prepared when the profile is made, and scores that follow from
the endpoints' load alone (`load_only`) are kept until a load changes: of the five default scorers three run
for each request. A plugin that misbehaves is left out of the decision, and the request goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from epp.datastore.endpoints import Candidates, Floats, Mask
from epp.errors import NoEndpointError
from epp.plugin import UNWATCHED, Explained, Filter, Misbehaviour, Picker, Scorer, Terms, Watcher
from epp.plugins.max_score_picker import MaxScorePicker
from epp.scheduling.decision import NO_TERMS, Decision, Removal
from epp.types import InferenceRequest

if TYPE_CHECKING:
    import random

# A call of a plugin that takes longer is not used, seconds: it holds up every other request meanwhile. What
# the reference grants all its producers together; a busy machine stops an innocent plugin for a tenth of it.
PATIENCE = 0.4


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


@dataclass(frozen=True, slots=True)
class NamedPicker:
    """A picker as a profile lists it."""

    name: str
    type: str
    plugin: Picker


class Profile:
    """One way to choose an endpoint."""

    def __init__(
        self,
        name: str,
        filters: Sequence[NamedFilter],
        scorers: Sequence[WeightedScorer],
        picker: NamedPicker,
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self.name = name
        self.filters = tuple(filters)
        self.scorers = tuple(scorers)
        self.picker = picker
        self._clock = watcher.clock
        self._watcher = watcher
        self._filters = [(each, _observer(watcher, "Filter", each)) for each in filters]
        rows = [(row, each, _observer(watcher, "Scorer", each)) for row, each in enumerate(scorers)]
        self._load_rows = [row for row in rows if _is_load_only(row[1])]
        self._request_rows = [row for row in rows if not _is_load_only(row[1])]
        self._picked_in = _observer(watcher, "Picker", picker)
        self._weights = {scorer.name: scorer.weight for scorer in scorers}
        self._weight_row = np.array([scorer.weight for scorer in scorers], np.float64)
        self._explained = [
            # By the class: a property is not to be asked before there are scores.
            (scorer, cast(Explained, scorer.plugin))
            for scorer in scorers
            if hasattr(type(scorer.plugin), "terms")
        ]
        # Scores that follow from loads alone, and the candidates and loads that they hold for.
        self._kept: tuple[Candidates, int, Floats] | None = None

    def __repr__(self) -> str:
        scorers = " ".join(f"{scorer.name}*{scorer.weight:g}" for scorer in self.scorers)
        return f"<Profile {self.name}: {scorers}>"

    def run(self, request: InferenceRequest, candidates: Candidates, rng: random.Random) -> Decision:
        """Chooses. Raises NoEndpointError if the filters leave nothing."""
        removed: tuple[Removal, ...] = ()
        for named, observe in self._filters:
            mask = self._mask(named, observe, request, candidates)
            if mask is not None and not mask.all():
                kept = candidates.only(mask)
                removed += (Removal(named.name, candidates.slots[~mask]),)
                candidates = kept
        if not len(candidates):
            raise NoEndpointError("no endpoint is left for the request after filtering")
        skipped: list[str] = []
        scores = self._load_scores(request, candidates, skipped).copy()
        for row, scorer, observe in self._request_rows:
            self._score(scores, row, scorer, observe, request, candidates, skipped)
        totals = self._totals(scores, skipped)
        return Decision(
            profile=self.name,
            picked=tuple([candidates.at(index) for index in self._pick(totals, candidates, rng)]),
            candidates=candidates.slots,
            roster=candidates.roster,
            removed=removed,
            scores=scores,
            weights=self._weights,
            totals=totals,
            skipped=tuple(skipped),
            terms=self._terms() if self._explained else NO_TERMS,
        )

    # Filters ---------------------------------------------------------------------------------------------

    def _mask(
        self,
        named: NamedFilter,
        observe: Callable[[float], object],
        request: InferenceRequest,
        candidates: Candidates,
    ) -> Mask | None:
        """What the filter says; None, which keeps all, if it misbehaves."""
        started = self._clock()
        how: Misbehaviour | None = None
        error: Exception | None = None
        mask: Mask | None = None
        try:
            mask = named.plugin.filter(request, candidates)
        except Exception as raised:
            how, error = "raised", raised
        took = self._clock() - started
        observe(took)
        if took > PATIENCE:
            how = "too slow"
        elif mask is not None and not _is_mask(mask, len(candidates)):
            how = "wrong shape"
        if how is not None:
            self._watcher.misbehaved(named.type, named.name, how, error)
            return None
        return mask

    # Scorers ---------------------------------------------------------------------------------------------

    def _load_scores(self, request: InferenceRequest, candidates: Candidates, skipped: list[str]) -> Floats:
        """All rows, those of `load_only` scorers filled; not to be written to."""
        kept = self._kept
        version = candidates.load_version
        if kept is not None and kept[0] is candidates and kept[1] == version:
            return kept[2]
        scores = np.zeros((len(self.scorers), len(candidates)))
        for row, scorer, observe in self._load_rows:
            self._score(scores, row, scorer, observe, request, candidates, skipped)
        if not skipped:  # what misbehaved is asked again
            self._kept = (candidates, version, scores)
        return scores

    def _score(
        self,
        scores: Floats,
        row: int,
        scorer: WeightedScorer,
        observe: Callable[[float], object],
        request: InferenceRequest,
        candidates: Candidates,
        skipped: list[str],
    ) -> None:
        """Fills the scorer's row; leaves 0, the same for all, if it misbehaves."""
        started = self._clock()
        how: Misbehaviour | None = None
        error: Exception | None = None
        try:
            values = scorer.plugin.score(request, candidates)
            if isinstance(values, np.ndarray) and values.shape != (len(candidates),):
                how = "wrong shape"
            else:
                scores[row] = values
        except Exception as raised:
            how, error = "raised", raised
        took = self._clock() - started
        observe(took)
        if took > PATIENCE:
            how = "too slow"
        if how is not None:
            self._leave_out(scorer, scores[row], how, error, skipped)

    def _totals(self, scores: Floats, skipped: list[str]) -> Floats:
        """The weighted sums. Cuts scores to 0 and 1; leaves out rows that are not numbers."""
        np.maximum(scores, 0.0, out=scores)
        np.minimum(scores, 1.0, out=scores)
        totals: Floats = self._weight_row @ scores
        if math.isnan(np.add.reduce(totals)):
            for scorer, row in zip(self.scorers, scores, strict=True):
                if np.isnan(row).any():
                    self._leave_out(scorer, row, "not a number", None, skipped)
            totals = self._weight_row @ scores
        return totals

    def _terms(self) -> Mapping[str, Terms]:
        """What tells, of the scorers that explain themselves, what their scores are made of."""
        told: dict[str, Terms] = {}
        for scorer, plugin in self._explained:
            try:
                told[scorer.name] = plugin.terms
            except Exception as error:
                self._watcher.misbehaved(scorer.type, scorer.name, "raised", error)
        return told

    def _leave_out(
        self,
        scorer: WeightedScorer,
        row: Floats,
        how: Misbehaviour,
        error: Exception | None,
        skipped: list[str],
    ) -> None:
        row[:] = 0.0
        skipped.append(scorer.name)
        self._watcher.misbehaved(scorer.type, scorer.name, how, error)

    # The picker ------------------------------------------------------------------------------------------

    def _pick(self, totals: Floats, candidates: Candidates, rng: random.Random) -> Sequence[int]:
        picker = self.picker
        started = self._clock()
        try:
            picks = picker.plugin.pick(totals, candidates, rng)
            if len(picks) and min(picks) >= 0 and max(picks) < len(candidates):
                self._picked_in(self._clock() - started)
                return picks
            error = None
        except Exception as raised:
            error = raised
        how: Misbehaviour = "raised" if error else "no such endpoint"
        self._watcher.misbehaved(picker.type, picker.name, how, error)
        return _FALLBACK.pick(totals, candidates, rng)


_FALLBACK = MaxScorePicker()


def _is_mask(value: object, size: int) -> bool:
    return isinstance(value, np.ndarray) and value.shape == (size,) and value.dtype == np.bool_


def _is_load_only(scorer: WeightedScorer) -> bool:
    return bool(getattr(scorer.plugin, "load_only", False))


def _observer(
    watcher: Watcher, extension_point: str, plugin: NamedFilter | WeightedScorer | NamedPicker
) -> Callable[[float], object]:
    return watcher.durations(extension_point, plugin.type, plugin.name)
