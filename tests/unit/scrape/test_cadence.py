"""The rule of polling, as transcripts: what happened when, and when the next poll is due.

Times are in base intervals of 50 ms; the first endpoint that is added has its moment at 0.6 of them.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.scrape.cadence import MOMENTS, Cadence

BASE = 0.05
PHASE = 0.6


class Clocked:
    """One endpoint's cadence, told and asked in base intervals."""

    def __init__(self, *, busy: bool = True) -> None:
        self.cadence = Cadence(BASE, random.Random(1))
        if busy:
            self.requested(0)
        self.cadence.add("a", 0.0)

    @property
    def due(self) -> float:
        return round(self.cadence.due("a") / BASE, 6)

    def requested(self, at: float) -> bool:
        return self.cadence.requested(at * BASE)

    def answered(self, at: float) -> float:
        return round(self.cadence.answered("a", at * BASE) / BASE, 6)

    def page(self, at: float, took: float = 0.1) -> float:
        self.cadence.started("a", at * BASE)
        return round(self.cadence.succeeded("a", (at + took) * BASE) / BASE, 6)

    def failure(self, at: float) -> float:
        self.cadence.started("a", at * BASE)
        self.cadence.failed("a", at * BASE)
        return round(self.due - at, 6)


# Rule 1 ---------------------------------------------------------------------------------------------------


def test_a_new_endpoint_is_due_at_its_next_moment() -> None:
    assert Clocked().due == PHASE


def test_a_busy_pools_endpoint_is_polled_every_interval_at_its_moment() -> None:
    a = Clocked()
    assert a.page(PHASE) == 0.9
    assert a.due == 1 + PHASE
    a.page(1 + PHASE + 0.02)  # the timer was a little late
    assert a.due == 2 + PHASE
    a.page(2 + PHASE - 0.02)  # or a little early
    assert a.due == 3 + PHASE
    a.page(3 + PHASE - 0.02, took=0.001)  # and the page there before its moment
    assert a.due == 4 + PHASE


def test_a_slow_page_leaves_out_the_polls_it_covered() -> None:
    a = Clocked()
    a.page(PHASE, took=3.2)
    assert a.due == 4 + PHASE


# Rule 2 ---------------------------------------------------------------------------------------------------


def test_answers_postpone_the_poll_until_nothing_was_heard_for_an_interval() -> None:
    a = Clocked()
    a.page(PHASE)
    assert a.answered(1.0) == 1 + PHASE
    assert a.due == 2 + PHASE
    a.answered(1.7)
    assert a.due == 3 + PHASE
    a.page(3 + PHASE)  # nothing since
    assert a.due == 4 + PHASE


def test_answers_postpone_no_poll_beyond_ten_intervals() -> None:
    a = Clocked()
    a.page(PHASE)
    for tick in range(9 * 4):
        a.answered(1 + tick / 4)
    assert a.due == 10 + PHASE
    a.page(10 + PHASE)
    for tick in range(9 * 4):
        a.answered(11 + tick / 4)
    assert a.due == 20 + PHASE


def test_a_page_among_answers_counts_them() -> None:
    a = Clocked()
    a.answered(PHASE)
    a.page(PHASE)
    assert a.due == 2 + PHASE


# Rule 3 ---------------------------------------------------------------------------------------------------


def test_a_pool_without_requests_is_polled_every_twenty_intervals() -> None:
    a = Clocked(busy=False)
    assert a.due == PHASE
    assert a.page(PHASE) == 19.9
    assert a.due == 20 + PHASE


def test_a_pool_is_idle_five_seconds_after_its_last_request() -> None:
    a = Clocked()
    a.page(99 + PHASE)
    assert a.due == 100 + PHASE
    a.page(100 + PHASE)
    assert a.due == 120 + PHASE


def test_the_first_request_wakes_it() -> None:
    a = Clocked(busy=False)
    a.page(PHASE)
    assert a.requested(7.3) is True
    assert a.due == 7 + PHASE
    assert a.requested(7.4) is False
    a.page(7 + PHASE)
    assert a.due == 8 + PHASE


def test_an_answer_in_an_idle_pool_changes_nothing() -> None:
    a = Clocked(busy=False)
    a.page(PHASE)
    assert a.answered(15) == 5 + PHASE
    assert a.due == 20 + PHASE


# Rule 4 ---------------------------------------------------------------------------------------------------


def test_pauses_after_failures_double_up_to_a_second() -> None:
    a = Clocked()
    pauses = [a.failure(at=100 * n) for n in range(40)]
    for n, pause in enumerate(pauses):
        longest = min(2 ** (n + 1), 20)
        assert longest / 2 <= pause <= longest
    assert len(set(pauses)) == len(pauses)


def test_answers_do_not_lengthen_a_pause() -> None:
    a = Clocked()
    a.failure(10 + PHASE)
    due = a.due
    a.answered(11 + PHASE)
    assert a.due == due


def test_requests_and_answers_do_not_shorten_a_pause_and_a_page_ends_it() -> None:
    a = Clocked(busy=False)
    for at in (0, 10, 20, 30, 40, 50):
        a.failure(at)
    due = a.due
    a.requested(51)
    a.answered(52)
    assert a.due == due
    a.page(70 + PHASE)
    assert a.due == 71 + PHASE
    assert a.failure(72) <= 2


# Rule 5 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoints", [10, 100, 1000])
def test_endpoints_are_dealt_out_evenly(endpoints: int) -> None:
    cadence = Cadence(BASE, random.Random(1))
    for number in range(endpoints):
        cadence.add(str(number), 0.0)
    dues = Counter(round(cadence.due(str(number)), 6) for number in range(endpoints))
    assert len(dues) == MOMENTS
    assert max(dues.values()) <= endpoints / MOMENTS + 2


def test_waking_keeps_endpoints_apart() -> None:
    cadence = Cadence(BASE, random.Random(1))
    for name in "abcdefghij":
        cadence.add(name, 0.0)
        cadence.started(name, cadence.due(name))
        cadence.succeeded(name, cadence.due(name))
    cadence.requested(0.512)
    dues = sorted(cadence.due(name) for name in "abcdefghij")
    assert dues[0] >= 0.512
    assert dues[-1] <= 0.512 + BASE
    assert len({round(due, 6) for due in dues}) >= 9


# Bounds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "busy", "idle"),
    [(0.01, 0.01, 0.2), (0.05, 0.05, 1.0), (0.3, 0.3, 0.9), (1.0, 1.0, 1.0), (5.0, 5.0, 5.0)],
)
def test_no_interval_is_longer_than_a_second_unless_the_base_is(
    base: float, busy: float, idle: float
) -> None:
    cadence = Cadence(base, random.Random(1))
    cadence.add("a", 0.0)
    first = cadence.due("a")
    cadence.started("a", first)
    assert cadence.succeeded("a", first) == pytest.approx(idle)
    cadence.requested(first)
    cadence.started("a", first)
    assert cadence.succeeded("a", first) == pytest.approx(busy)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["request", "answer", "page", "failure", "wait"]), st.floats(0, 3))
)


@given(EVENTS)
def test_whatever_happens_the_next_poll_is_at_most_a_second_away(events: list[tuple[str, float]]) -> None:
    cadence = Cadence(BASE, random.Random(1))
    cadence.add("a", 0.0)
    now = 0.0
    for event, pause in events:
        now += pause
        if event == "request":
            cadence.requested(now)
        elif event == "answer":
            assert 0 <= cadence.answered("a", now) <= 1 + 2 * BASE
        elif event == "page":
            cadence.started("a", now)
            assert 0 < cadence.succeeded("a", now) <= 1 + 2 * BASE
        elif event == "failure":
            cadence.started("a", now)
            cadence.failed("a", now)
        assert cadence.due("a") <= now + 1 + 2 * BASE


def test_repr_and_membership() -> None:
    cadence = Cadence(BASE, random.Random(1))
    cadence.add("a", 0.0)
    cadence.add("b", 0.0)
    cadence.failed("b", 0.0)
    assert repr(cadence) == "<Cadence base=0.05s endpoints=2 failing=1>"
    cadence.remove("b")
    assert "a" in cadence
    assert "b" not in cadence
