"""When is an endpoint asked for its metrics page next? The rule, without clock or timer.

A page costs a vLLM server 8 to 20 ms of its own time, so it is asked for no more often than helps. All
follows from one setting, the base interval (`--refresh-metrics-interval`, 50 ms):

1. An endpoint is polled every base interval.
2. An endpoint that answers requests is polled every 10 base intervals (500 ms). Its answers carry the load,
   and each of them postpones the next poll until nothing was heard for a base interval. The page is still
   needed: running requests, adapters and the size of the KV cache stand nowhere else.
3. In an idle pool, one that got no request for 5 s, every endpoint is polled every 20 base intervals (1 s).
   The first request wakes it: each endpoint is polled within one base interval from then.
4. An endpoint that fails is asked again after a pause of 2 base intervals that doubles up to 1 s, each cut by
   up to half at random. Requests and answers do not shorten it; the first page ends it.
5. Endpoints are dealt out evenly to 10 moments of the base interval (5 ms apart) and keep to them, so that
   they are not polled all at once. A page that takes longer than an interval is waited for, and the polls
   that would have been meanwhile are left out.

No interval of these is longer than 1 s, unless the base interval is.

Slow polling must not make data look stale. So with each page or answer goes its expected interval: the
seconds until more is due by this rule. Data are stale when they are older than the staleness threshold plus
the interval that came with them: 200 ms + 50 ms in a busy pool, 200 ms + 1 s in an idle one.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from math import floor

ANSWERING_INTERVALS = 10  # base intervals from page to page of an endpoint whose answers carry its load
IDLE_INTERVALS = 20  # base intervals from page to page in an idle pool: 1 s at the reference's 50 ms
IDLE_AFTER = 5.0  # seconds without a request; the reference's own gauges are refreshed as often
CEILING = 1.0  # seconds that an endpoint is left alone at most: the reference's timeout for one scrape

# Moments of the base interval at which endpoints are polled. Not one for each endpoint, because it is waking
# the process that costs: 100 to 200 us of CPU on a small virtual machine, as much as the scrape itself.
MOMENTS = 10

# The fractions of k/phi are spread evenly over 0..1 for any number of k, so endpoints that come and go need
# no new division of the interval.
_GOLDEN = (5**0.5 - 1) / 2

# Of a slot. Times are floats: the sum that is meant to be a slot's start may lie just before it.
_ROUNDING = 1e-6


@dataclass(slots=True)
class _Track:
    """One endpoint. Slot n starts at `phase` + n base intervals."""

    phase: float
    due: float
    heard_at: float  # the last answer that carried load
    slot: int = 0  # of the last poll
    failures: int = 0  # in a row


class Cadence:
    """The rule for all endpoints of a pool. Times are seconds of one monotonic clock.

    `base`: the base interval in seconds, over 0. `rng` draws the pauses after failures. Methods that take a
    `name` raise KeyError for one that is not there.
    """

    def __init__(self, base: float, rng: random.Random) -> None:
        self.base = base
        self._rng = rng
        self._tracks: dict[str, _Track] = {}
        self._added = 0
        self._requested_at = float("-inf")
        longest = max(1, floor(CEILING / base + _ROUNDING))
        self._answering = min(ANSWERING_INTERVALS, longest)
        self._idle = min(IDLE_INTERVALS, longest)

    def __repr__(self) -> str:
        failing = sum(1 for track in self._tracks.values() if track.failures)
        return f"<Cadence base={self.base:g}s endpoints={len(self._tracks)} failing={failing}>"

    def __contains__(self, name: str) -> bool:
        return name in self._tracks

    def add(self, name: str, now: float) -> None:
        """A new endpoint, due within one base interval."""
        self._added += 1
        moment = floor(self._added * _GOLDEN % 1 * MOMENTS)
        track = _Track(phase=self.base * moment / MOMENTS, due=now, heard_at=now - self.base)
        track.slot = self._slot(track, now)
        track.due = self._start(track, track.slot + 1)
        self._tracks[name] = track

    def remove(self, name: str) -> None:
        """The endpoint is gone."""
        del self._tracks[name]

    def due(self, name: str) -> float:
        """When to poll the endpoint next; moved by what happens, so ask again when the time has come."""
        return self._tracks[name].due

    def idle(self, now: float) -> bool:
        """Whether the pool has had no request for `IDLE_AFTER`."""
        return now - self._requested_at > IDLE_AFTER

    def requested(self, now: float) -> bool:
        """A request came. True if that woke an idle pool: endpoints are due sooner than they were."""
        woken = self.idle(now)
        self._requested_at = now
        if woken:
            for track in self._healthy():
                track.due = min(track.due, self._start(track, self._slot(track, now) + 1))
        return woken

    def answered(self, name: str, now: float) -> float:
        """An answer of the endpoint carried its load. Returns the expected interval of what it told."""
        track = self._tracks[name]
        track.heard_at = now
        if not track.failures:
            track.due = max(track.due, self._postponed(track))
        return max(0.0, track.due - now)

    def started(self, name: str, now: float) -> None:
        """The endpoint's page is asked for."""
        track = self._tracks[name]
        track.slot = self._slot(track, now + self.base / 2)  # the nearest: timers are early or late a little

    def succeeded(self, name: str, now: float) -> float:
        """The page came. Returns the expected interval of what it told."""
        track = self._tracks[name]
        track.failures = 0
        track.slot = max(track.slot, self._slot(track, now))
        track.due = self._start(track, track.slot + (self._idle if self.idle(now) else 1))
        track.due = max(track.due, self._postponed(track))
        return track.due - now

    def failed(self, name: str, now: float) -> None:
        """The page did not come, or could not be read."""
        track = self._tracks[name]
        track.failures += 1
        # 2**30 base intervals are beyond any ceiling: keeps the power small however long it lasts.
        pause = min(max(CEILING, self.base), self.base * 2 ** min(track.failures, 30))
        track.due = now + pause * self._rng.uniform(0.5, 1.0)

    # ------------------------------------------------------------------------------------------------------

    def _healthy(self) -> Iterable[_Track]:
        return (track for track in self._tracks.values() if not track.failures)

    def _slot(self, track: _Track, time: float) -> int:
        """The slot that `time` lies in."""
        return floor((time - track.phase) / self.base + _ROUNDING)

    def _start(self, track: _Track, slot: int) -> float:
        return track.phase + slot * self.base

    def _postponed(self, track: _Track) -> float:
        """When to poll for what the last answer did not tell."""
        quiet = self._start(track, self._slot(track, track.heard_at + self.base) + 1)
        return min(quiet, self._start(track, track.slot + self._answering))
