"""The driver on a loop of its own, whose clock the test sets. Steps take one simulated second."""

import heapq
from collections.abc import Callable
from typing import Any

import pytest

from epp.sim.driver import Driver
from epp.sim.engine import Engine, EngineConfig, StepResult
from epp.sim.sequence import Sequence, SimRequest
from epp.sim.steptime import StepTime

ONE_SECOND = StepTime(1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    def __init__(self) -> None:
        self.clock = 100.0
        self.calls = 0
        self._queue: list[tuple[float, int, Callable[[], Any], Handle]] = []

    def time(self) -> float:
        return self.clock

    def call_soon(self, callback: Callable[[], Any]) -> Any:
        return self.call_later(0, callback)

    def call_later(self, delay: float, callback: Callable[[], Any]) -> Any:
        handle = Handle()
        heapq.heappush(self._queue, (self.clock + delay, len(self._queue) + self.calls, callback, handle))
        return handle

    def run_until(self, clock: float, late: float = 0.0) -> None:
        """Calls what is due up to `clock`, each call `late` seconds after its time."""
        while self._queue and self._queue[0][0] + late <= clock:
            due, _, callback, handle = heapq.heappop(self._queue)
            self.clock = max(self.clock, due + late)
            if not handle.cancelled:
                self.calls += 1
                callback()
        self.clock = clock


class Bench:
    """A driver, and a note of what it told: (real time, request, its tokens, simulated time of the token)."""

    def __init__(self, time_scale: float = 1.0) -> None:
        self.loop = FakeLoop()
        self.steps: list[StepResult] = []
        self.engine = Engine(EngineConfig(max_num_seqs=2, block_size=4, num_blocks=100, step_time=ONE_SECOND))
        self.driver = Driver(self.engine, time_scale, self.steps.append, self.loop)
        self.heard: list[tuple[float, str, int, float | None]] = []

    def submit(self, name: str, output_tokens: int) -> Sequence:
        return self.driver.submit(SimRequest(name, 4, output_tokens), self._listen)

    def _listen(self, sequence: Sequence) -> None:
        clock = round(self.loop.clock - 100, 3)
        self.heard.append((clock, sequence.request.id, sequence.produced, sequence.last_token_at))


def test_tokens_come_when_their_step_ends() -> None:
    bench = Bench()
    bench.submit("a", 2)
    bench.loop.run_until(110)
    assert bench.heard == [(1, "a", 1, 1), (2, "a", 2, 2)]


def test_an_idle_driver_sets_no_timer() -> None:
    bench = Bench()
    bench.submit("a", 2)
    bench.loop.run_until(200)
    assert bench.loop.calls == 3  # the start and the end of two steps


def test_requests_of_one_moment_share_the_first_step() -> None:
    bench = Bench()
    bench.submit("a", 1)
    bench.submit("b", 1)
    bench.loop.run_until(110)
    assert bench.heard == [(1, "a", 1, 1), (1, "b", 1, 1)]


def test_a_request_that_comes_during_a_step_waits_for_the_next() -> None:
    bench = Bench()
    bench.submit("a", 3)
    bench.loop.run_until(101.5)
    b = bench.submit("b", 1)
    bench.loop.run_until(110)
    assert bench.heard == [(1, "a", 1, 1), (2, "a", 2, 2), (3, "a", 3, 3), (3, "b", 1, 3)]
    assert (b.arrived_at, b.scheduled_at) == (1.5, 2)


def test_time_scale_makes_simulated_time_faster() -> None:
    bench = Bench(time_scale=10)
    bench.submit("a", 2)
    bench.loop.run_until(110)
    assert bench.heard == [(0.1, "a", 1, 1), (0.2, "a", 2, 2)]


def test_late_timers_do_not_slow_the_simulated_server() -> None:
    bench = Bench()
    bench.submit("a", 3)
    bench.loop.run_until(110, late=0.02)
    assert [simulated for _, _, _, simulated in bench.heard] == pytest.approx([1.02, 2.02, 3.02])
    assert [real for real, *_ in bench.heard] == pytest.approx([1.04, 2.04, 3.04])


def test_a_process_that_is_far_behind_does_not_race_after_the_clock() -> None:
    bench = Bench()
    bench.submit("a", 3)
    bench.loop.run_until(100)
    bench.loop.run_until(130, late=5)
    first, second, third = (simulated for _, _, _, simulated in bench.heard if simulated is not None)
    assert first == pytest.approx(6, abs=0.06)  # its end was at 1
    assert third - second == pytest.approx(second - first, abs=0.06)


def test_a_submission_while_behind_is_not_in_the_future_of_the_step() -> None:
    bench = Bench()
    bench.submit("a", 2)
    bench.loop.run_until(100)
    bench.loop.clock = 103  # the step that ended at 1 is still to be noticed
    b = bench.submit("b", 1)
    bench.loop.run_until(110)
    assert b.arrived_at == 1
    assert b.scheduled_at is not None
    assert b.scheduled_at >= b.arrived_at


def test_a_cancelled_request_is_heard_no_more() -> None:
    bench = Bench()
    bench.submit("a", 5)
    bench.loop.run_until(101.5)
    bench.driver.cancel("a")
    assert bench.engine.running == 0
    bench.loop.run_until(110)
    assert bench.heard == [(1, "a", 1, 1)]
    assert bench.engine.counters.cancelled == 1


def test_cancelling_a_finished_request_counts_nothing() -> None:
    bench = Bench()
    bench.submit("a", 1)
    bench.loop.run_until(110)
    bench.driver.cancel("a")
    assert bench.engine.counters.cancelled == 0


def test_work_after_a_pause_begins_at_once() -> None:
    bench = Bench()
    bench.submit("a", 1)
    bench.loop.run_until(105)
    bench.submit("b", 1)
    bench.loop.run_until(110)
    assert bench.heard == [(1, "a", 1, 1), (6, "b", 1, 6)]


def test_every_step_is_reported() -> None:
    bench = Bench()
    bench.submit("a", 2)
    bench.loop.run_until(110)
    assert [(step.batched_tokens, len(step.finished)) for step in bench.steps] == [(0, 0), (4, 0), (1, 1)]


def test_a_closed_driver_is_silent() -> None:
    bench = Bench()
    bench.submit("a", 5)
    bench.loop.run_until(101.5)
    bench.driver.close()
    bench.loop.run_until(110)
    assert bench.heard == [(1, "a", 1, 1)]
