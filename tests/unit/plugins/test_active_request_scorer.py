"""active-request-scorer: 1 - in flight / most in flight."""

from __future__ import annotations

import pytest

from epp.datastore.store import Datastore
from epp.plugins.active_request_scorer import ActiveRequestScorer
from tests.pools import endpoint, everyone, per_candidate, request, store_of


def busy(in_flight: list[int]) -> Datastore:
    """A pool whose endpoints have so many requests in flight."""
    store = store_of(*[None] * len(in_flight))
    for number, requests in enumerate(in_flight):
        for _ in range(requests):
            store.reserve(endpoint(store, number), 100, "base")
    return store


@pytest.mark.parametrize(
    ("in_flight", "scores"),
    [
        ([0, 0], [1, 1]),
        ([1, 0], [0, 1]),
        ([100, 101], [1 / 101, 0]),  # hardly a difference, where min to max would make it the largest
        ([4, 2, 1, 0], [0, 0.5, 0.75, 1]),
        ([], []),
    ],
)
def test_scores(in_flight: list[int], scores: list[float]) -> None:
    candidates = everyone(busy(in_flight))
    assert per_candidate(ActiveRequestScorer().score(request(), candidates), candidates) == pytest.approx(
        scores
    )


@pytest.mark.parametrize(
    ("idle_threshold", "max_busy_score", "scores"),
    [
        (0, 0.5, [1, 0.375, 0.25, 0]),  # (8 - 2) / 8 * 0.5, (8 - 4) / 8 * 0.5
        (2, 1.0, [1, 1, 0.5, 0]),
        (2, 0.5, [1, 1, 0.25, 0]),
        (8, 0.5, [1, 1, 1, 1]),
    ],
)
def test_idle_and_busy_endpoints(idle_threshold: int, max_busy_score: float, scores: list[float]) -> None:
    candidates = everyone(busy([0, 2, 4, 8]))
    scorer = ActiveRequestScorer(idle_threshold, max_busy_score)
    assert per_candidate(scorer.score(request(), candidates), candidates) == pytest.approx(scores)


def test_a_burst_between_two_scrapes_spreads() -> None:
    store, scorer = store_of(None, None, None), ActiveRequestScorer()
    for _ in range(9):
        candidates = everyone(store)
        scores = per_candidate(scorer.score(request(), candidates), candidates)
        best = candidates.at(scores.index(max(scores)))
        store.reserve(best, 100, "base")
    assert everyone(store).in_flight.tolist() == [3, 3, 3]
