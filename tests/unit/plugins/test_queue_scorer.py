"""queue-scorer: (max - queue) / (max - min)."""

from __future__ import annotations

import pytest

from epp.plugins.queue_scorer import QueueScorer
from epp.types import LoadSample
from tests.pools import everyone, load, per_candidate, request, store_of


@pytest.mark.parametrize(
    ("loads", "scores"),
    [
        ([load(3), load(0), load(10)], [0.7, 1, 0]),
        ([load(2), load(2)], [1, 1]),
        ([load(5), None], [1, 0]),
        ([load(kv=0.1), load(9)], [0, 1]),  # told its KV use, and not its queue
    ],
)
def test_scores(loads: list[LoadSample | None], scores: list[float]) -> None:
    candidates = everyone(store_of(*loads))
    assert per_candidate(QueueScorer().score(request(), candidates), candidates) == pytest.approx(scores)
