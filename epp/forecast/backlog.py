"""What endpoints have to prefill before a request that comes now: the work that this picker sent them.

Engines prefill in order of arrival. So an endpoint is done with its work when that of each request, one
after the other, is done; an answer that begins says that one is, and puts the plan for the others right.
Nobody tells when an answer that is not streamed begins: it counts as begun when it is due, or one behind it
begins.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from epp.datastore.endpoints import Floats, Slots
from epp.forecast.columns import grown
from epp.forecast.mean import FadingMean


@dataclass(slots=True)
class Work:
    """What one request has to compute before its first token.

    `tokens` and `pairs` as in epp.forecast.prefill; `seconds` is the time that this should take its endpoint,
    and `adapter_seconds` what it may have to wait for its adapter besides, by `adapter_delay`.
    """

    slot: int
    tokens: float
    pairs: float
    seconds: float
    placed_at: float
    streams: bool
    adapter_seconds: float = 0.0
    adapter_delay: FadingMean | None = None
    tokens_ahead: float = 0.0  # its own and what was before it when it was placed
    pairs_ahead: float = 0.0


@dataclass(slots=True)
class _Queue:
    """Of one endpoint: its works, oldest first, and their sums."""

    works: OrderedDict[int, Work] = field(default_factory=OrderedDict)
    tokens: float = 0.0
    pairs: float = 0.0
    seconds: float = 0.0
    turn_at: float = -np.inf  # since when the oldest is under way

    def add(self, key: int, work: Work) -> None:
        self._drop_due(work.placed_at)
        if not self.works:
            self.turn_at = work.placed_at
            self.tokens = self.pairs = self.seconds = 0.0  # what rounding has left
        else:
            oldest = self._oldest
            undone = 1.0 - min((work.placed_at - self.turn_at) / oldest.seconds, 1.0)
            work.tokens_ahead = self.tokens - (1.0 - undone) * oldest.tokens
            work.pairs_ahead = self.pairs - (1.0 - undone) * oldest.pairs
        work.tokens_ahead += work.tokens
        work.pairs_ahead += work.pairs
        self.works[key] = work
        self.tokens += work.tokens
        self.pairs += work.pairs
        self.seconds += work.seconds

    def begun(self, key: int, now: float) -> None:
        before = takewhile(lambda other: other != key, self.works)
        for passed in [other for other in before if not self.works[other].streams]:
            self._drop(passed)
        self._drop(key)
        self.turn_at = now
        self._drop_due(now)

    def cancelled(self, key: int, now: float) -> None:
        if self._oldest is self.works[key]:
            self.turn_at = now
        self._drop(key)
        self._drop_due(now)

    @property
    def clear_at(self) -> float:
        return self.turn_at + self.seconds if self.works else -np.inf

    @property
    def overdue_at(self) -> float:
        """From when on the oldest answer is late; never, if it is not streamed."""
        if not self.works or not self._oldest.streams:
            return np.inf
        return self.turn_at + self._oldest.seconds + self._oldest.adapter_seconds

    @property
    def _oldest(self) -> Work:
        return next(iter(self.works.values()))

    def _drop_due(self, now: float) -> None:
        while self.works and not self._oldest.streams and self.turn_at + self._oldest.seconds <= now:
            self.turn_at += self._oldest.seconds
            self._drop(next(iter(self.works)))

    def _drop(self, key: int) -> None:
        work = self.works.pop(key)
        self.tokens -= work.tokens
        self.pairs -= work.pairs
        self.seconds -= work.seconds


class Backlogs:
    """All endpoints' work, by keys that stand for requests. Times in seconds."""

    def __init__(self) -> None:
        self._clear_at: Floats = np.zeros(0)
        self._overdue_at: Floats = np.zeros(0)
        self._pending: Floats = np.zeros(0)
        self._tokens: Floats = np.zeros(0)
        self._queues: dict[int, _Queue] = {}
        self._works: dict[int, Work] = {}

    def __repr__(self) -> str:
        return f"<Backlogs of {len(self._works)} requests at {len(self._queues)} endpoints>"

    def make_room(self, slots: int) -> None:
        """Columns have at least as many slots from now on."""
        self._clear_at = grown(self._clear_at, slots, -np.inf)
        self._overdue_at = grown(self._overdue_at, slots, np.inf)
        self._pending = grown(self._pending, slots, 0.0)
        self._tokens = grown(self._tokens, slots, 0.0)

    def seconds(self, slots: Slots, now: float) -> Floats:
        """Until the endpoints at `slots` are done with what they have.

        Where an answer is late nobody knows why: the cache may be full, or the server stand still. What has
        taken so much longer is taken to need as much again, and all behind it comes so much later.
        """
        late = np.maximum(now - self._overdue_at[slots], 0.0)
        seconds: Floats = np.maximum(self._clear_at[slots] - now, -late) + 2.0 * late
        return seconds

    def pending(self, slots: Slots) -> Floats:
        """Requests whose answers have not begun, at the endpoints at `slots`."""
        return self._pending[slots]

    def tokens(self, slots: Slots) -> Floats:
        """Tokens that those requests have to compute, and need room in the KV cache for."""
        return self._tokens[slots]

    def add(self, key: int, work: Work) -> None:
        """A request was placed."""
        self.done(key, work.placed_at)
        self._works[key] = work
        queue = self._queues.setdefault(work.slot, _Queue())
        queue.add(key, work)
        self._show(work.slot, queue)

    def begun(self, key: int, now: float) -> Work | None:
        """The answer begins; its work, None if it is not known or counted as done."""
        work = self._works.get(key)
        if work is None:
            return None
        del self._works[key]
        queue = self._queues[work.slot]
        if key not in queue.works:
            return None
        queue.begun(key, now)
        self._show(work.slot, queue)
        return work

    def done(self, key: int, now: float) -> Work | None:
        """The request is over, and needs nothing any more; its work, None if its answer had begun."""
        work = self._works.pop(key, None)
        if work is None:
            return None
        queue = self._queues[work.slot]
        if key in queue.works:
            queue.cancelled(key, now)
            self._show(work.slot, queue)
        return work

    def left(self, slot: int) -> None:
        """The endpoint is gone, and the slot may be another's."""
        queue = self._queues.pop(slot, None)
        if queue is not None:
            self._works = {key: work for key, work in self._works.items() if work.slot != slot}
            self._show(slot, _Queue())

    def _show(self, slot: int, queue: _Queue) -> None:
        self._clear_at[slot], self._overdue_at[slot] = queue.clear_at, queue.overdue_at
        self._pending[slot] = len(queue.works)
        self._tokens[slot] = queue.tokens if queue.works else 0.0
