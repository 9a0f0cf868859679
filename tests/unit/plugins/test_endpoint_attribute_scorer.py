"""endpoint-attribute-scorer: (value - min) / (max - min), either way round."""

from __future__ import annotations

from typing import Literal

import pytest

from epp.plugins.endpoint_attribute_scorer import (
    AdaptiveRange,
    EndpointAttributeScorer,
    FixedRange,
    Normalization,
    ScorerAlgorithm,
)
from epp.types import LoadSample
from tests.pools import everyone, labelled, load, per_candidate, request, store_of

Way = Literal["linear_lower_is_better", "linear_higher_is_better"]
LOWER: Way = "linear_lower_is_better"
HIGHER: Way = "linear_higher_is_better"


@pytest.mark.parametrize(
    ("loads", "lower", "higher"),
    [
        ([load(2), load(4), load(10)], [1, 0.75, 0], [0, 0.25, 1]),
        ([load(2), None, load(10)], [1, 0, 0], [0, 0, 1]),
        ([load(3), load(3), None], [1, 1, 0], [1, 1, 0]),
        ([load(3)], [1], [1]),
        ([None, None], [0, 0], [0, 0]),
        ([], [], []),
    ],
)
def test_the_candidates_range(
    loads: list[LoadSample | None], lower: list[float], higher: list[float]
) -> None:
    candidates = everyone(store_of(*loads))
    for way, scores in ((LOWER, lower), (HIGHER, higher)):
        found = EndpointAttributeScorer("waiting-queue", ScorerAlgorithm(way)).score(request(), candidates)
        assert per_candidate(found, candidates) == pytest.approx(scores)


def test_a_fixed_range() -> None:
    candidates = everyone(labelled(*[{"tier": tier} for tier in ("0", "2", "4", "9", "-1")], {}))
    fixed = Normalization(fixed_range=FixedRange(0, 4))
    higher = EndpointAttributeScorer("tier", ScorerAlgorithm(HIGHER, fixed)).score(request(), candidates)
    lower = EndpointAttributeScorer("tier", ScorerAlgorithm(LOWER, fixed)).score(request(), candidates)
    # What is above 1 the profile takes for 1.
    assert per_candidate(higher, candidates) == pytest.approx([0, 0.5, 1, 2.25, 0, 0])
    assert per_candidate(lower, candidates) == pytest.approx([1, 0.5, 0, 0, 1.25, 0])


@pytest.mark.parametrize(
    ("normalization", "fault"),
    [
        (Normalization(AdaptiveRange(), FixedRange(0, 1)), "not both"),
        (Normalization(fixed_range=FixedRange(1, 1)), "min has to be less than max"),
    ],
)
def test_ranges_that_make_no_sense(normalization: Normalization, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        EndpointAttributeScorer("waiting-queue", ScorerAlgorithm(LOWER, normalization))
