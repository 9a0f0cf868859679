"""What every engine was doing, looked at again and again over a run: a bounded number of samples.

When they become too many, every second one goes and the interval doubles, so that a run of any length has
between half of `MOST` and `MOST` samples once it has had so many.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Counts = NDArray[np.int64]
Shares = NDArray[np.float64]

# Samples kept: about as many as a plot has points across. 1,000 engines then take 20 MB.
MOST = 512

# Seconds between the first samples: 51 s fit before the first of them go.
_FIRST_INTERVAL = 0.1

# Of one engine: running, waiting, kv_usage, prefix_queries, prefix_hits.
Look = tuple[int, int, float, int, int]


class Timeline:
    """The samples so far, in order of time. Arrays are (samples, engines), engines as in `servers`."""

    def __init__(self, servers: Iterable[str] = ()) -> None:
        self.servers = tuple(servers)
        self.interval = _FIRST_INTERVAL  # seconds from sample to sample
        self._times: list[float] = []
        self._looks: list[NDArray[np.float64]] = []  # each (engines, 5)

    def __repr__(self) -> str:
        return f"<Timeline {len(self._times)} samples of {len(self.servers)} engines>"

    @property
    def due(self) -> float:
        """When the next sample is to be taken: the first at 0."""
        return self._times[-1] + self.interval if self._times else 0.0

    def add(self, now: float, looks: Iterable[Look]) -> None:
        """A sample: one look at each engine."""
        self._times.append(now)
        self._looks.append(np.array(list(looks), np.float64).reshape(len(self.servers), 5))
        if len(self._times) > MOST:
            del self._times[1::2], self._looks[1::2]
            self.interval *= 2

    @property
    def times(self) -> Times:
        """(samples,), seconds since the start."""
        return np.array(self._times, np.float64)

    @property
    def running(self) -> Counts:
        """Requests in the batch."""
        return self._column(0).astype(np.int64)

    @property
    def waiting(self) -> Counts:
        """Requests queued."""
        return self._column(1).astype(np.int64)

    @property
    def kv_usage(self) -> Shares:
        """0..1 of the KV blocks."""
        return self._column(2)

    @property
    def prefix_queries(self) -> Counts:
        """Prompt tokens of requests that were admitted, since the start."""
        return self._column(3).astype(np.int64)

    @property
    def prefix_hits(self) -> Counts:
        """Those of them that were in the prefix cache."""
        return self._column(4).astype(np.int64)

    def _column(self, index: int) -> NDArray[np.float64]:
        if not self._looks:
            return np.empty((0, len(self.servers)))
        return np.stack([look[:, index] for look in self._looks])
