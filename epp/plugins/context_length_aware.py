"""context-length-aware: endpoints say in a label which lengths of prompts they are for.

Formulas: llm-d's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from epp.config.constraints import Doc, Length
from epp.datastore.endpoints import Candidates, Floats, Mask
from epp.plugins.arrays import stays
from epp.plugins.per_candidates import PerCandidates
from epp.types import InferenceRequest

# llm-d's: what a prompt out of the range scores at most, and one that is in it scores more than; what an
# endpoint without the label scores.
_BOUND = 0.3
_NEUTRAL = 0.5

# llm-d's: of the score in the range, how much is for a narrow one and how much for room above the prompt;
# the width at which the first has halved, and the distance from the range at which a score has.
_NARROW, _ROOM = 0.7, 0.3
_HALF_WIDTH, _HALF_DISTANCE = 10_000.0, 1000.0

# 15 digits are exact as a float, and more than any context.
_RANGE = re.compile(r"\s*([0-9]{1,15})\s*-\s*([0-9]{1,15})\s*")


@dataclass(frozen=True)
class _Ranges:
    """Of each candidate: from which to which length; NaN without a range, and why it has none."""

    low: Floats
    high: Floats
    unlabelled: Mask


@dataclass
class ContextLengthAware:
    """Prefers endpoints that are for prompts of the request's length; optionally takes the others out.

    The label is "min-max" in tokens. In the range: 0.3 + 0.7 * (0.7 / (1 + width / 10000) + 0.3 * (max -
    tokens) / width), 1 where min is max; out of it: 0.3 / (1 + distance / 1000); without the label: 0.5; with
    one that cannot be read: 0. Tokens are estimated at 4 bytes each, and counted for token ids.
    """

    label: Annotated[str, Length(1, 1000), Doc("the label with the range")] = "llm-d.ai/context-length-range"
    enable_filtering: Annotated[
        bool, Doc("take out endpoints that are for other lengths, or whose label cannot be read")
    ] = False

    def __post_init__(self) -> None:
        self._ranges = PerCandidates(self._read)

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those that are for the prompt's length or say nothing; None if none is taken out."""
        if not self.enable_filtering:
            return None
        ranges, tokens = self._ranges(endpoints), request.body.prompt.tokens
        inside = (ranges.low <= tokens) & (tokens <= ranges.high)
        return stays(inside | ranges.unlabelled, or_all=False)

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """0 to 1."""
        ranges, tokens = self._ranges(endpoints), request.body.prompt.tokens
        width = ranges.high - ranges.low
        room = (ranges.high - tokens) / np.fmax(width, 1.0)
        inside = _BOUND + (1.0 - _BOUND) * (_NARROW / (1.0 + width / _HALF_WIDTH) + _ROOM * room)
        inside[width == 0] = 1.0
        distance = np.maximum(tokens - ranges.high, ranges.low - tokens)
        scores = np.where(distance <= 0, inside, _BOUND / (1.0 + np.abs(distance) / _HALF_DISTANCE))
        scores[np.isnan(width)] = 0.0
        scores[ranges.unlabelled] = _NEUTRAL
        return scores

    def _read(self, endpoints: Candidates) -> _Ranges:
        labels = endpoints.labels(self.label)
        bounds = np.array([_bounds(label) for label in labels], np.float64).reshape(-1, 2)
        return _Ranges(bounds[:, 0], bounds[:, 1], np.array([label is None for label in labels], np.bool_))


def _bounds(label: str | None) -> tuple[float, float]:
    found = _RANGE.fullmatch(label or "")
    low, high = (int(found[1]), int(found[2])) if found else (1, 0)
    return (low, high) if low <= high else (math.nan, math.nan)
