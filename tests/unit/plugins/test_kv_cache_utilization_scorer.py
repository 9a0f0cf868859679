"""kv-cache-utilization-scorer: 1 - KV cache use."""

from __future__ import annotations

import pytest

from epp.plugins.kv_cache_utilization_scorer import KvCacheUtilizationScorer
from tests.pools import everyone, load, request, store_of


def test_scores() -> None:
    candidates = everyone(store_of(load(kv=0.0), load(kv=0.25), load(kv=1.0), None, load(waiting=0)))
    scores = KvCacheUtilizationScorer().score(request(), candidates)
    assert scores.tolist() == pytest.approx([1, 0.75, 0, 0, 0])


def test_the_column_stays() -> None:
    candidates = everyone(store_of(load(kv=0.25), None))
    KvCacheUtilizationScorer().score(request(), candidates)
    assert candidates.kv_usage.tolist() == pytest.approx([0.25, float("nan")], nan_ok=True)
