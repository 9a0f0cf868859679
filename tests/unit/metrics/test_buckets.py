"""Bounds ascend, and are as many as the reference has."""

from __future__ import annotations

from itertools import pairwise

import pytest

from epp.metrics import buckets


@pytest.mark.parametrize(
    ("bounds", "number", "first", "last"),
    [
        (buckets.DURATION, 35, 0.005, 3600),
        (buckets.TOKEN_GAP, 35, 0.0005, 360),
        (buckets.TIME_PER_TOKEN, 13, 0.001, 10),
        (buckets.REQUEST_BYTES, 25, 64, 1073741824),
        (buckets.RESPONSE_BYTES, 15, 1, 65536),
        (buckets.INPUT_TOKENS, 19, 1, 1048576),
        (buckets.OUTPUT_TOKENS, 12, 1, 8192),
        (buckets.SCHEDULING, 10, 0.0001, 0.1),
        (buckets.HIT_RATIO, 11, 0, 1),
        (buckets.HIT_BYTES, 14, 0, 65536),
        (buckets.SCRAPE, 12, 0.001, 5),
        (buckets.LOOP_LAG, 12, 0.001, 1),
    ],
)
def test_bounds(bounds: tuple[float, ...], number: int, first: float, last: float) -> None:
    assert (len(bounds), bounds[0], bounds[-1]) == (number, first, last)
    assert all(low < high for low, high in pairwise(bounds))
