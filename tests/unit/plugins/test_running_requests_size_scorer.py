"""running-requests-size-scorer: (max - running) / (max - min)."""

from __future__ import annotations

import pytest

from epp.plugins.running_requests_size_scorer import RunningRequestsSizeScorer
from epp.types import LoadSample
from tests.pools import everyone, load, per_candidate, request, store_of


@pytest.mark.parametrize(
    ("loads", "scores"),
    [
        ([load(running=10), load(running=30), load(running=20)], [1, 0, 0.5]),
        ([load(0, running=2), load(9, running=2)], [1, 1]),  # the queue is not its business
        ([None, load(running=256)], [0, 1]),
    ],
)
def test_scores(loads: list[LoadSample | None], scores: list[float]) -> None:
    candidates = everyone(store_of(*loads))
    found = RunningRequestsSizeScorer().score(request(), candidates)
    assert per_candidate(found, candidates) == pytest.approx(scores)
