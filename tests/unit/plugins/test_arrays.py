"""Min to max over candidates, with unknown ones among them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.plugins.arrays import least_is_best, stays

nan = math.nan


@pytest.mark.parametrize(
    ("values", "scores"),
    [
        ([3, 0, 10], [0.7, 1, 0]),
        ([0, 5], [1, 0]),
        ([4, 4, 4], [1, 1, 1]),
        ([7], [1]),
        ([], []),
        ([nan, 3, 0], [0, 0, 1]),
        ([nan, 4, 4], [0, 1, 1]),
        ([nan, 900], [0, 1]),  # a long queue is better than one of which nothing is known
        ([nan, nan], [1, 1]),  # nothing known of anyone: no difference
    ],
)
def test_scores(values: list[float], scores: list[float]) -> None:
    found = np.broadcast_to(least_is_best(np.array(values, float)), len(values))
    assert found.tolist() == pytest.approx(scores)


@given(st.lists(st.integers(0, 1000) | st.just(nan), min_size=1, max_size=20))
def test_bounds_and_order(values: list[float]) -> None:
    scores = np.broadcast_to(least_is_best(np.array(values, float)), len(values))
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores.max() == 1
    for value, score in zip(values, scores, strict=True):
        for other, other_score in zip(values, scores, strict=True):
            if value < other:
                assert score > other_score
            if math.isnan(value) and not math.isnan(other):
                assert score <= other_score


@pytest.mark.parametrize(
    ("mask", "who", "or_all"),
    [
        ([True, False], [True, False], [True, False]),
        ([True, True], None, None),
        ([False, False], [False, False], None),
        ([], None, None),
    ],
)
def test_who_stays(mask: list[bool], who: list[bool] | None, or_all: list[bool] | None) -> None:
    for said, wanted in ((False, who), (True, or_all)):
        found = stays(np.array(mask, bool), or_all=said)
        assert (None if found is None else found.tolist()) == wanted


def test_the_columns_it_is_given_stay() -> None:
    values = np.array([nan, 1.0, 2.0])
    least_is_best(values)
    assert values.tolist() == pytest.approx([nan, 1.0, 2.0], nan_ok=True)
