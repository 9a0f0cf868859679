"""Runs an engine in real time: one timer for each step, and no task.

Simulated time runs `time_scale` times as fast as the clock. A timer that fires late does not slow the
simulated server: the step still ends when it should have, and the next begins there. Only a process that
cannot keep up at all (more than `_MAX_LAG` behind) lets its servers fall behind instead of racing after the
clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from epp.sim.engine import Engine, StepResult
from epp.sim.sequence import Sequence, SimRequest

# Real seconds. Timers of the event loop have a resolution of one millisecond, so a step may end this early.
_TIMER_RESOLUTION = 0.001
_MAX_LAG = 0.05

# Steps that one timer may run before the sockets get their turn.
_MAX_STEPS_AT_ONCE = 64

Listener = Callable[[Sequence], None]


class Loop(Protocol):
    """What the driver needs of an event loop; times are real seconds."""

    def time(self) -> float:
        """Monotonic."""

    def call_soon(self, callback: Callable[[], Any]) -> asyncio.Handle:
        """Calls `callback` in the next round."""

    def call_later(self, delay: float, callback: Callable[[], Any]) -> asyncio.Handle:
        """Calls `callback` after `delay`."""


class Driver:
    """One engine on an event loop. `on_step` sees every result before the requests' listeners do."""

    def __init__(
        self, engine: Engine, time_scale: float, on_step: Callable[[StepResult], None], loop: Loop
    ) -> None:
        self.engine = engine
        self._loop = loop
        self._time_scale = time_scale
        self._on_step = on_step
        self._listeners: dict[str, Listener] = {}
        self._epoch = self._loop.time()
        self._began_at = 0.0  # the latest step
        self._ends_at: float | None = None  # of the step under way
        self._timer: asyncio.Handle | None = None  # None: idle

    @property
    def now(self) -> float:
        """Simulated seconds since the start. Never goes back, nor past the end of the step under way."""
        clock = max(self._clock(), self._began_at)
        return clock if self._ends_at is None else min(clock, self._ends_at)

    def submit(self, request: SimRequest, listener: Listener) -> Sequence:
        """Queues `request`; `listener` is called for each of its tokens. ValueError as `Engine.submit`."""
        sequence = self.engine.submit(request, self.now)
        self._listeners[request.id] = listener
        if self._timer is None:
            # Not at once: the choices of one request, and requests that come together, share a first step.
            self._timer = self._loop.call_soon(self._begin)
        return sequence

    def cancel(self, request_id: str) -> None:
        """Forgets a request; nothing happens if it has finished."""
        if self._listeners.pop(request_id, None) is not None:
            self.engine.cancel(request_id)

    def close(self) -> None:
        """Stops; nothing is called any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._listeners.clear()

    def _clock(self) -> float:
        return (self._loop.time() - self._epoch) * self._time_scale

    def _begin(self) -> None:
        self._step(self.now)
        self._set_timer()

    def _on_timer(self) -> None:
        due = self._clock() + _TIMER_RESOLUTION * self._time_scale
        for _ in range(_MAX_STEPS_AT_ONCE):
            if self._ends_at is None or self._ends_at > due:
                break
            self._step(max(self._ends_at, due - _MAX_LAG * self._time_scale))
        self._set_timer()

    def _step(self, now: float) -> None:
        result = self.engine.step(now)
        self._began_at = now
        self._ends_at = result.ends_at
        self._on_step(result)
        for sequence in result.tokens:
            listener = self._listeners.get(sequence.request.id)
            if listener is not None:
                listener(sequence)
        for sequence in result.finished:
            self._listeners.pop(sequence.request.id, None)

    def _set_timer(self) -> None:
        if self._ends_at is None:
            self._timer = None
            return
        delay = (self._ends_at - self._clock()) / self._time_scale
        self._timer = self._loop.call_later(max(delay, 0.0), self._on_timer)
