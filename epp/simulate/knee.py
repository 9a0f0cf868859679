"""The knee of a policy: the highest rate of arrivals at which enough requests keep the SLO.

The rate is doubled or halved until one that keeps it and one that does not are known, then the two are closed
in on. The same seed draws the same requests at every rate, only closer together, so that neighbouring rates
differ by little else. What noise is left may still let one rate fail between two that do not, or the other
way round. So it is not single rates that decide, but the falling curve that fits all of them best (isotonic
regression: neighbours in the wrong order count as their mean), and the search ends only when rates a few
steps above and below the knee are known as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from epp.config.picker_config import PickerConfig
from epp.simulate.measures import Measures, Run
from epp.simulate.progress import Gauge
from epp.simulate.run import Extent, Scenario, simulate

# The knee is known to 3 per cent: with another seed it differs by as much.
PRECISION = 1.03

# Around the knee a rate is to be known in each of these ranges, in steps of the precision.
_AROUND = ((1, 3), (3, 5), (-3, -1))

# From the first rate the search goes so far up and down. Far below it a run takes long in virtual time, and
# engines are all but idle: what fails there fails for requests that are too long for the SLO.
_UP = 1024
_DOWN = 1 / 100

# Virtual seconds in which requests arrive, at least, whatever the rate: a pool that is 4 per cent too slow is
# then 2 s behind for the last tenth of the requests.
_LEAST = 60.0

# Runs of one search: as a rule 2 to bracket, 5 to close in, 2 around, and the one to report; at most
# twice as many to try.
_USUAL = 10
_MOST = 20


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of one rate of arrivals."""

    rate: float
    measures: Measures


@dataclass(frozen=True, slots=True)
class Knee:
    """What the search found. `rate` None: no rate that was tried keeps the SLO.

    `run` is the one at the knee; where there is none, at the lowest rate tried. Probes in order of their
    rates; `simulated` seconds and `events` of all runs.
    """

    rate: float | None
    run: Run
    probes: tuple[Probe, ...]
    simulated: float
    events: int


def find_knee(config: PickerConfig, scenario: Scenario, share: float, extent: Extent, gauge: Gauge) -> Knee:
    """The knee of one policy: `share` of all requests are to be in the SLO.

    `extent` is that of the scenario; its rate is tried first. At high rates there are more requests than it
    has, see `lasting`.
    """
    runs = _Runs(config, scenario, extent.requests, gauge)
    probes: dict[float, Probe] = {}

    def share_at(rate: float) -> float:
        probes[rate] = Probe(rate, runs.at(rate).measures)
        return probes[rate].measures.in_slo

    rate = search(share_at, share, extent.rate)
    # Once more, because a run has every request in it, and of many none is kept.
    reported = runs.at(rate or min(probes))
    in_order = tuple(probes[each] for each in sorted(probes))
    return Knee(rate, reported, in_order, runs.simulated, runs.events)


def lasting(scenario: Scenario, requests: int, rate: float) -> Scenario:
    """At this rate, with `requests` or as many more as it takes to show whether the pool can keep up."""
    return replace(scenario, rate=rate, requests=max(requests, math.ceil(rate * _LEAST)))


class _Runs:
    """One run after the other, with what they come to."""

    def __init__(self, config: PickerConfig, scenario: Scenario, least: int, gauge: Gauge) -> None:
        self._config = config
        self._scenario = scenario
        self._least = least  # requests
        self._gauge = gauge
        self._runs = 0
        self._requests = 0  # of the runs so far
        self.simulated = 0.0
        self.events = 0

    def at(self, rate: float) -> Run:
        scenario = lasting(self._scenario, self._least, rate)
        assert scenario.requests is not None
        before = self._requests
        self._runs += 1
        self._requests += scenario.requests
        self._gauge.expect(self._requests + scenario.requests * max(0, _USUAL - self._runs))
        run = simulate(
            self._config, scenario, lambda now, over: self._gauge(self.simulated + now, before + over)
        )
        self.simulated += run.outcome.ended_at
        self.events += run.outcome.events
        return run


def search(share_at: Callable[[float], float], share: float, start: float) -> float | None:
    """The highest rate at which the falling curve through `share_at` is `share` or more; None if none is.

    No rate is asked about twice. Rates have three digits, so that they can be given again as they are shown.
    """
    shares: dict[float, float] = {}
    rate: float | None = _rounded(start)
    while rate is not None and len(shares) < _MOST:
        shares[rate] = share_at(rate)
        low, high = _crossing(shares, share)
        rate = _next(low, high, shares, start)
    return low


def _next(low: float | None, high: float | None, known: Iterable[float], start: float) -> float | None:
    """The rate to ask about next; None if enough is known."""
    if low is None:
        lower = _rounded(min(known) / 2)
        return lower if lower >= start * _DOWN else None
    if high is None:
        higher = _rounded(low * 2)
        return higher if higher <= start * _UP else None
    if high > low * PRECISION:
        return _rounded(math.sqrt(low * high))
    for least, most in _AROUND:
        if not any(low * PRECISION**least < rate <= low * PRECISION**most for rate in known):
            return _rounded(low * PRECISION ** ((least + most) / 2))
    return None


def _crossing(shares: Mapping[float, float], share: float) -> tuple[float | None, float | None]:
    """The highest rate whose fitted share is enough, and the next above it; None where there is none."""
    rates = sorted(shares)
    enough = sum(fitted >= share for fitted in falling([shares[rate] for rate in rates]))
    return rates[enough - 1] if enough else None, rates[enough] if enough < len(rates) else None


def falling(values: Iterable[float]) -> list[float]:
    """The sequence that never rises and is nearest to `values` (least squares)."""
    pools: list[tuple[float, int]] = []  # mean, number
    for value in values:
        mean, number = value, 1
        while pools and pools[-1][0] < mean:
            before, others = pools.pop()
            mean, number = (mean * number + before * others) / (number + others), number + others
        pools.append((mean, number))
    return [mean for mean, number in pools for _ in range(number)]


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
