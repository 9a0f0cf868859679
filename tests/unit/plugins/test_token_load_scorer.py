"""token-load-scorer: 1 - tokens in flight / threshold."""

from __future__ import annotations

import pytest

from epp.plugins.token_load_scorer import TokenLoadScorer
from tests.pools import endpoint, everyone, per_candidate, request, store_of


def test_scores() -> None:
    store = store_of(None, None, None, None)
    for number, tokens in ((0, 100), (0, 150), (1, 1000), (2, 2000)):
        store.reserve(endpoint(store, number), tokens, "base")
    candidates = everyone(store)
    scores = per_candidate(TokenLoadScorer(1000).score(request(), candidates), candidates)
    assert scores == pytest.approx([0.75, 0, -1, 1])  # the profile takes what is below 0 for 0


def test_by_default_128_requests_of_32k_tokens_are_too_many() -> None:
    store = store_of(None)
    for _ in range(64):
        store.reserve(endpoint(store, 0), 32_768, "base")
    candidates = everyone(store)
    assert per_candidate(TokenLoadScorer().score(request(), candidates), candidates) == [0.5]


def test_nobody() -> None:
    candidates = everyone(store_of())
    assert per_candidate(TokenLoadScorer().score(request(), candidates), candidates) == []
