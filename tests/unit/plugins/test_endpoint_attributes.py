"""Attributes: columns by name, and labels whose value is a number."""

from __future__ import annotations

import math

import pytest

from epp.plugins.endpoint_attributes import attribute
from tests.pools import endpoint, everyone, labelled, load, store_of

nan = math.nan


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("waiting-queue", [3, nan]),
        ("running-requests", [7, nan]),
        ("kv-cache-utilization", [0.25, nan]),
        ("max-lora", [4, nan]),
        ("active-requests", [2, 0]),
        ("active-tokens", [150, 0]),
        ("num_requests_waiting", [3, nan]),
        ("num_requests_running", [7, nan]),
        ("kv_cache_usage_perc", [0.25, nan]),
        ("no-such-label", [nan, nan]),
    ],
)
def test_columns(name: str, values: list[float]) -> None:
    store = store_of(load(3, 0.25, running=7, max_lora=4), None)
    for tokens in (100, 50):
        store.reserve(endpoint(store, 0), tokens, "base")
    assert attribute(name)(everyone(store)).tolist() == pytest.approx(values, nan_ok=True)


def test_labels() -> None:
    texts = ["80", "1e2", " 7.5 ", "80GB", "", "nan", "inf", "-3"]
    store = labelled(*[{"memory": text} for text in texts], {})
    values = attribute("memory")(everyone(store)).tolist()
    assert values == pytest.approx([80, 100, 7.5, nan, nan, nan, nan, -3, nan], nan_ok=True)
