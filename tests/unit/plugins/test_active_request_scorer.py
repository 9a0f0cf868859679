"""active-request-scorer: 1 - in flight / most in flight."""

from __future__ import annotations

import pytest

from epp.plugins.active_request_scorer import ActiveRequestScorer
from tests.pools import endpoint, everyone, request, store_of


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
    store = store_of(*[None] * len(in_flight))
    for number, requests in enumerate(in_flight):
        for _ in range(requests):
            store.reserve(endpoint(store, number), 100, "base")
    assert ActiveRequestScorer().score(request(), everyone(store)).tolist() == pytest.approx(scores)


def test_a_burst_between_two_scrapes_spreads() -> None:
    store, scorer = store_of(None, None, None), ActiveRequestScorer()
    for _ in range(9):
        candidates = everyone(store)
        best = candidates.at(int(scorer.score(request(), candidates).argmax()))
        store.reserve(best, 100, "base")
    assert everyone(store).in_flight.tolist() == [3, 3, 3]
