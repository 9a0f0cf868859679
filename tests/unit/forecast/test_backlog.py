"""What endpoints have to do before a request that comes now, as transcripts; times in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.forecast.backlog import Backlogs, Work

SLOTS = 3
EMPTY = "<Backlogs of 0 requests at"


def work(slot: int, seconds: float, at: float, *, streams: bool = True, adapter_seconds: float = 0.0) -> Work:
    """A thousand tokens a second, a pair for each two tokens."""
    tokens = 1000.0 * seconds
    return Work(slot, tokens, tokens / 2, seconds, at, streams, adapter_seconds)


@pytest.fixture
def backlogs() -> Backlogs:
    made = Backlogs()
    made.make_room(SLOTS)
    return made


def ahead(backlogs: Backlogs, now: float, slot: int = 0) -> float:
    return float(backlogs.seconds(np.array([slot]), now)[0])


def pending(backlogs: Backlogs) -> list[float]:
    found: list[float] = backlogs.pending(np.arange(SLOTS)).tolist()
    return found


class TestFirstInFirstOut:
    def test_a_story(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=10.0))
        assert ahead(backlogs, 10.0) == 2.0
        assert ahead(backlogs, 10.5) == 1.5
        backlogs.add(2, second := work(0, 1.0, at=10.5))
        assert ahead(backlogs, 10.5) == 2.5
        assert ahead(backlogs, 11.5) == 1.5
        # A quarter of the first was done when the second came.
        assert (second.tokens_ahead, second.pairs_ahead) == (1000.0 + 1500.0, 500.0 + 750.0)
        assert backlogs.begun(1, 12.0) is not None
        assert ahead(backlogs, 12.0) == 1.0
        assert backlogs.begun(2, 13.0) is second
        assert ahead(backlogs, 13.0) == 0.0
        assert pending(backlogs) == [0, 0, 0]
        assert repr(backlogs).startswith(EMPTY)

    def test_endpoints_are_apart(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.add(2, work(2, 3.0, at=0.0))
        backlogs.add(3, work(2, 3.0, at=0.0))
        assert backlogs.seconds(np.array([0, 1, 2]), 1.0).tolist() == [1.0, 0.0, 5.0]
        assert backlogs.seconds(np.array([2, 0]), 1.0).tolist() == [5.0, 1.0]
        assert pending(backlogs) == [1, 0, 2]

    def test_alone_a_request_has_its_own_work_before_it(self, backlogs: Backlogs) -> None:
        backlogs.add(1, alone := work(0, 2.0, at=0.0))
        assert (alone.tokens_ahead, alone.pairs_ahead) == (2000.0, 1000.0)

    def test_of_a_request_that_is_late_nothing_is_left_to_be_counted_twice(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.add(2, behind := work(0, 1.0, at=5.0))
        assert behind.tokens_ahead == 1000.0

    def test_there_is_room_for_more(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.make_room(40)
        backlogs.make_room(1)
        backlogs.add(2, work(39, 3.0, at=0.0))
        assert backlogs.seconds(np.array([0, 1, 39]), 0.0).tolist() == [2.0, 0.0, 3.0]


class TestPutRight:
    """An answer that begins sooner or later than was planned moves all that is behind it."""

    @pytest.mark.parametrize("begins", [0.5, 2.0, 7.0])
    def test_by_the_answer_that_begins(self, backlogs: Backlogs, begins: float) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.add(2, work(0, 1.5, at=0.0))
        backlogs.begun(1, begins)
        assert ahead(backlogs, begins) == 1.5

    def test_out_of_order(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.add(2, work(0, 1.0, at=0.0))
        backlogs.begun(2, 3.0)
        assert ahead(backlogs, 3.0) == 2.0
        assert pending(backlogs)[0] == 1

    def test_cancelled_while_it_waits(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.add(2, cancelled := work(0, 1.0, at=0.0))
        assert backlogs.done(2, 0.5) is cancelled
        assert ahead(backlogs, 0.5) == 1.5

    def test_cancelled_while_it_is_under_way(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.add(2, work(0, 1.0, at=0.0))
        backlogs.done(1, 0.5)
        assert ahead(backlogs, 0.5) == 1.0


class TestLateness:
    """What is late by some time is taken to need as much again."""

    def test_all_behind_it_comes_so_much_later(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        assert [ahead(backlogs, now) for now in (1.0, 2.0, 2.5, 12.0)] == [1.0, 0.0, 0.5, 10.0]
        backlogs.add(2, work(0, 3.0, at=12.0))
        assert ahead(backlogs, 12.0) == 13.0
        backlogs.begun(1, 12.0)
        assert ahead(backlogs, 12.0) == 3.0

    def test_not_before_the_adapter_could_be_there(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0, adapter_seconds=4.0))
        assert [ahead(backlogs, now) for now in (0.0, 2.0, 6.0, 7.0)] == [2.0, 0.0, 0.0, 1.0]

    def test_of_an_answer_that_comes_as_a_whole_nobody_knows(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0, streams=False))
        assert ahead(backlogs, 100.0) == 0.0


class TestNotStreamed:
    def test_they_are_out_of_the_way_when_they_are_due(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0, streams=False))
        backlogs.add(2, work(0, 1.0, at=0.0, streams=False))
        backlogs.add(3, behind := work(0, 4.0, at=2.5))
        # Of the second a half is left.
        assert behind.tokens_ahead == 4500.0
        assert ahead(backlogs, 2.5) == 4.5
        assert pending(backlogs)[0] == 2
        backlogs.begun(3, 7.5)
        assert (ahead(backlogs, 7.5), pending(backlogs)[0]) == (0.0, 0)

    def test_they_have_begun_when_one_behind_them_begins(self, backlogs: Backlogs) -> None:
        """However many streams begin beside it, it is not pushed off."""
        backlogs.add(1, work(0, 2.0, at=0.0, streams=False))
        backlogs.add(2, work(0, 1.0, at=0.0))
        backlogs.add(3, work(0, 1.5, at=0.0, streams=False))
        backlogs.begun(2, 1.0)
        assert (ahead(backlogs, 1.0), pending(backlogs)[0]) == (1.5, 1)

    def test_they_are_due_from_when_the_one_before_began(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 1.0, at=0.0))
        backlogs.add(2, work(0, 2.0, at=0.0, streams=False))
        backlogs.add(3, work(0, 5.0, at=0.0))
        backlogs.begun(1, 4.0)
        assert ahead(backlogs, 4.0) == 7.0
        assert ahead(backlogs, 6.0) == 5.0

    def test_their_end_tells_their_work(self, backlogs: Backlogs) -> None:
        backlogs.add(1, due := work(0, 1.0, at=0.0, streams=False))
        backlogs.add(2, work(0, 1.0, at=5.0))
        assert backlogs.done(1, 6.0) is due
        assert ahead(backlogs, 5.5) == 0.5, "it was out of the way already"


class TestUnknown:
    def test_a_request_that_nobody_placed(self, backlogs: Backlogs) -> None:
        assert backlogs.begun(7, 1.0) is None
        assert backlogs.done(7, 1.0) is None

    def test_an_answer_begins_once(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.begun(1, 1.0)
        assert backlogs.begun(1, 2.0) is None
        assert backlogs.done(1, 3.0) is None

    def test_a_key_that_comes_again_is_another_request(self, backlogs: Backlogs) -> None:
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.add(1, again := work(1, 3.0, at=1.0))
        assert (pending(backlogs), ahead(backlogs, 1.0), ahead(backlogs, 1.0, slot=1)) == (
            [0, 1, 0],
            0.0,
            3.0,
        )
        assert backlogs.done(1, 2.0) is again
        assert repr(backlogs).startswith(EMPTY)


class TestLeft:
    def test_its_requests_are_nobodys(self, backlogs: Backlogs) -> None:
        """The slot is another's, whose work the old one's requests do not touch."""
        backlogs.add(1, work(0, 2.0, at=0.0))
        backlogs.add(2, work(0, 2.0, at=0.0, streams=False))
        backlogs.add(3, work(1, 1.0, at=0.0))
        backlogs.left(0)
        assert (ahead(backlogs, 0.0), ahead(backlogs, 50.0)) == (0.0, 0.0)
        backlogs.add(4, work(0, 5.0, at=1.0))
        assert backlogs.begun(1, 1.0) is None
        assert backlogs.done(1, 2.0) is None
        assert backlogs.done(2, 2.0) is None
        assert (ahead(backlogs, 2.0), pending(backlogs)) == (4.0, [1, 1, 0])

    def test_one_that_was_sent_nothing(self, backlogs: Backlogs) -> None:
        backlogs.left(1)
        backlogs.left(99)
        assert pending(backlogs) == [0, 0, 0]


# Against a naive model --------------------------------------------------------------------------------------


@dataclass
class Naive:
    """Queues as lists, of (key, seconds, streams), and since when the first is under way."""

    queues: list[list[tuple[int, float, bool]]] = field(default_factory=lambda: [[] for _ in range(SLOTS)])
    turns: list[float] = field(default_factory=lambda: [0.0] * SLOTS)

    def drop_due(self, slot: int, now: float) -> None:
        queue = self.queues[slot]
        while queue and not queue[0][2] and self.turns[slot] + queue[0][1] <= now:
            self.turns[slot] += queue.pop(0)[1]

    def add(self, slot: int, key: int, seconds: float, streams: bool, now: float) -> None:
        self.over(key, now, begun=False)
        self.drop_due(slot, now)
        if not self.queues[slot]:
            self.turns[slot] = now
        self.queues[slot].append((key, seconds, streams))

    def over(self, key: int, now: float, begun: bool) -> None:
        for slot, queue in enumerate(self.queues):
            for place, (own, _, _) in enumerate(queue):
                if own == key:
                    if begun or place == 0:
                        self.turns[slot] = now
                    queue[:] = [
                        each
                        for number, each in enumerate(queue)
                        if number > place or (number < place and not (begun and not each[2]))
                    ]
                    self.drop_due(slot, now)
                    return

    def left(self, slot: int) -> None:
        self.queues[slot] = []

    def ahead(self, slot: int, now: float) -> float:
        queue, turn = self.queues[slot], self.turns[slot]
        if not queue:
            return 0.0
        rest = turn + math.fsum(seconds for _, seconds, _ in queue) - now
        late = max(now - turn - queue[0][1], 0.0) if queue[0][2] else 0.0
        return max(rest, -late) + 2.0 * late


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "begun", "done", "left"]),
        st.integers(0, 7),  # the request
        st.integers(0, SLOTS - 1),
        st.integers(1, 40),  # quarters of a second that it needs, so that all sums are exact
        st.booleans(),  # streamed
        st.integers(0, 20),  # quarters of a second since the step before
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_it_is_as_a_naive_model_has_it(steps: list[tuple[str, int, int, int, bool, int]]) -> None:
    backlogs, naive, now = Backlogs(), Naive(), 0.0
    backlogs.make_room(SLOTS)
    for what, key, slot, quarters, streams, later in steps:
        now += later / 4
        if what == "add":
            naive.add(slot, key, quarters / 4, streams, now)
            backlogs.add(key, work(slot, quarters / 4, now, streams=streams))
        elif what == "left":
            naive.left(slot)
            backlogs.left(slot)
        else:
            naive.over(key, now, begun=what == "begun")
            (backlogs.begun if what == "begun" else backlogs.done)(key, now)
        assert pending(backlogs) == [len(queue) for queue in naive.queues]
        told = backlogs.seconds(np.arange(SLOTS), now + 3.0).tolist()
        assert told == [naive.ahead(number, now + 3.0) for number in range(SLOTS)]
    for key in range(8):
        backlogs.done(key, now)
    assert pending(backlogs) == [0, 0, 0]
    assert backlogs.seconds(np.arange(SLOTS), now).tolist() == [0.0] * SLOTS
    assert repr(backlogs).startswith(EMPTY)
