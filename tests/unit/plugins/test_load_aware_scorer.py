"""load-aware-scorer: 0.5 without a queue, down to 0 at 128 waiting."""

from __future__ import annotations

import pytest

from epp.plugins.load_aware_scorer import LoadAwareScorer
from tests.pools import everyone, load, per_candidate, request, store_of


def test_scores() -> None:
    candidates = everyone(store_of(load(0), load(32), load(64), load(128), load(500), None, load(kv=0.1)))
    scores = per_candidate(LoadAwareScorer().score(request(), candidates), candidates)
    assert scores == pytest.approx([0.5, 0.375, 0.25, 0, 0, 0, 0])


def test_threshold() -> None:
    candidates = everyone(store_of(load(1), load(4)))
    assert per_candidate(LoadAwareScorer(4).score(request(), candidates), candidates) == [0.375, 0]


def test_nobody() -> None:
    candidates = everyone(store_of())
    assert per_candidate(LoadAwareScorer().score(request(), candidates), candidates) == []
