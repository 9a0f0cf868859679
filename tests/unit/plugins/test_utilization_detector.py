"""utilization-detector: the mean of max(queue / 5, KV use / 0.8); what is unknown or stale counts 1.

As a filter: those below the thresholds and the headroom above them stay.
"""

from __future__ import annotations

import pytest

from epp.config.durations import Seconds
from epp.plugins.utilization_detector import UtilizationDetector
from epp.types import LoadSample
from tests.pools import INTERVAL, NOW, everyone, load, request, store_of, who_stays


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
    detector = UtilizationDetector(128, 0.95, Seconds(2.0))
    store = store_of(load(64, 0.19))
    assert detector.saturation(everyone(store, NOW + 2 + INTERVAL / 2)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("loads", "headroom", "stay"),
    [
        ([load(4, 0.1), load(5, 0.1)], 0.0, ["pod-0"]),
        ([load(0, 0.79), load(0, 0.8)], 0.0, ["pod-0"]),
        ([load(5, 0.1), load(6, 0.1)], 0.2, ["pod-0"]),  # below 6
        ([load(0, 0.9), load(0, 0.97)], 0.2, ["pod-0"]),  # below 0.96
        ([load(0, 0.0), None], 0.2, ["pod-0"]),  # unknown is not idle, however much headroom there is
        ([load(1, None), load(None, 0.9)], 0.0, ["pod-0"]),
        ([load(0, 0.0), load(0, 0.0)], 0.0, ["pod-0", "pod-1"]),
        ([load(9, 0.0), load(0, 0.9)], 0.0, ["pod-0", "pod-1"]),  # all are full: all stay
        ([None, None], 0.0, ["pod-0", "pod-1"]),
        ([], 0.0, []),
    ],
)
def test_as_a_filter(loads: list[LoadSample | None], headroom: float, stay: list[str]) -> None:
    candidates = everyone(store_of(*loads))
    assert who_stays(UtilizationDetector(headroom=headroom).filter(request(), candidates), candidates) == stay


def test_an_endpoint_that_stopped_telling_is_taken_out() -> None:
    store = store_of(load(0, 0.0), load(0, 0.0))
    store.scraped("pod-1", load(1, 0.1), INTERVAL, NOW + 10)
    later = everyone(store, NOW + 10)
    assert who_stays(UtilizationDetector().filter(request(), later), later) == ["pod-1"]
