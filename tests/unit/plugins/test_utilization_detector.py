"""utilization-detector: the mean of max(queue / 5, KV use / 0.8); what is unknown or stale counts 1."""

from __future__ import annotations

import pytest

from epp.plugins.utilization_detector import UtilizationDetector
from epp.types import LoadSample
from tests.pools import INTERVAL, NOW, everyone, load, store_of


@pytest.mark.parametrize(
    ("loads", "saturation"),
    [
        ([load(0, 0.0)], 0),
        ([load(5, 0.0)], 1),
        ([load(0, 0.8)], 1),
        ([load(1, 0.4)], 0.5),  # the larger of 0.2 and 0.5
        ([load(10, 0.1), load(0, 0.0)], 1),  # the mean of 2 and 0
        ([load(6, 0.2), load(0, 0.85), load(0, 0.9)], (1.2 + 0.85 / 0.8 + 0.9 / 0.8) / 3),
        ([None], 1),
        ([None, load(0, 0.0)], 0.5),
        ([load(3, None)], 0.6),  # only the queue is known
        ([load(None, 0.2)], 0.25),
        ([load(running=1)], 1),  # neither is
        ([], 1),
    ],
)
def test_saturation(loads: list[LoadSample | None], saturation: float) -> None:
    assert UtilizationDetector().saturation(everyone(store_of(*loads))) == pytest.approx(saturation)


@pytest.mark.parametrize(("age", "saturation"), [(0.0, 0.2), (0.24, 0.2), (0.26, 1.0), (60.0, 1.0)])
def test_an_endpoint_that_stopped_telling_counts_as_saturated(age: float, saturation: float) -> None:
    store = store_of(load(1, 0.0))
    assert UtilizationDetector().saturation(everyone(store, NOW + age)) == pytest.approx(saturation)


def test_an_idle_pool_that_is_scraped_slowly_is_not_stale() -> None:
    store = store_of(None)
    store.scraped("pod-0", load(1, 0.0), 1.0, NOW)
    assert UtilizationDetector().saturation(everyone(store, NOW + 1.1)) == pytest.approx(0.2)
    assert UtilizationDetector().saturation(everyone(store, NOW + 1.3)) == 1


def test_thresholds_can_be_set() -> None:
    detector = UtilizationDetector(queue_depth=128, kv_cache_util=0.95, staleness=2.0)
    store = store_of(load(64, 0.19))
    assert detector.saturation(everyone(store, NOW + 2 + INTERVAL / 2)) == pytest.approx(0.5)
