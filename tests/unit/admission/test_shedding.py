"""Who is shed: negative priorities, while the pool is saturated."""

from __future__ import annotations

import pytest

from epp.admission.shedding import Admission
from epp.errors import ShedError
from epp.plugins.utilization_detector import UtilizationDetector
from epp.types import LoadSample
from tests.pools import NOW, address, everyone, load, request, store_of

IDLE = [load(0, 0.1), load(1, 0.1)]
FULL = [load(9, 0.1), load(1, 0.9)]
HALF = [load(9, 0.1), load(0, 0.1)]  # 9/5 and 0.1/0.8: the mean is just under 1


@pytest.mark.parametrize(
    ("loads", "priority", "shed"),
    [
        (IDLE, -1, False),
        (HALF, -1, False),
        (FULL, -1, True),
        (FULL, -100, True),
        (FULL, 0, False),
        (FULL, 1, False),
        ([None, None], -1, True),  # nothing is known: no idleness
        ([None, None], 0, False),
        ([load(5, 0.0)], -1, True),  # exactly at the threshold
    ],
)
def test_who_is_shed(loads: list[LoadSample | None], priority: int, shed: bool) -> None:
    admission, store = Admission(UtilizationDetector()), store_of(*loads)
    if shed:
        with pytest.raises(ShedError) as refusal:
            admission.admit(request(priority=priority), everyone(store))
        assert refusal.value.message == "system saturated, sheddable request dropped"
        assert refusal.value.status == 429
    else:
        admission.admit(request(priority=priority), everyone(store))


def test_only_the_requests_own_candidates_count() -> None:
    admission, store = Admission(UtilizationDetector()), store_of(load(9, 0.9), load(0, 0.0))
    with pytest.raises(ShedError):
        admission.admit(request(priority=-1), store.candidates(frozenset({address(0)}), NOW))
    admission.admit(request(priority=-1), store.candidates(frozenset({address(1)}), NOW))


def test_a_pool_that_stopped_telling_sheds() -> None:
    admission, store = Admission(UtilizationDetector()), store_of(*IDLE)
    admission.admit(request(priority=-1), everyone(store, NOW + 0.2))
    with pytest.raises(ShedError):
        admission.admit(request(priority=-1), everyone(store, NOW + 1))
