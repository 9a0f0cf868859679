"""The knee of a policy: the highest rate of arrivals at which enough requests keep the SLO.

The rate is doubled or halved until one that keeps it and one that does not are known, then the two are closed
in on. The same seed draws the same requests at every rate, only closer together, so that neighbouring rates
differ by little else; what noise is left can still make one rate fail between two that do not. So the search
ends only when the next steps above the knee fail as well, and goes on from there if one does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from epp.config.picker_config import PickerConfig
from epp.simulate.measures import Measures, Run
from epp.simulate.progress import Gauge
from epp.simulate.run import Extent, Scenario, simulate

# The knee is known to 3 per cent: of a longer run, or with another seed, it differs by as much.
PRECISION = 1.03

# Above the knee these must fail, too: two and four steps of the precision.
_BEYOND = (PRECISION**2, PRECISION**4)

# How often the first rate is doubled or halved: a factor of 1,000 up, of 60 down, where a run takes long in
# virtual time and the engines are all but idle.
_DOUBLINGS = 10
_HALVINGS = 6

# Probes that a search takes as a rule, for the progress bar: 2 to bracket, 5 to close in, 2 beyond.
_USUAL = 9


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of one rate of arrivals."""

    rate: float
    kept: bool
    measures: Measures


@dataclass(frozen=True, slots=True)
class Knee:
    """What the search found. `rate` None: no rate that was tried keeps the SLO.

    `run` is the one at the knee; where there is none, at the lowest rate tried. Probes in order of their
    rates; `simulated` seconds and `events` of them all.
    """

    rate: float | None
    run: Run
    probes: tuple[Probe, ...]
    simulated: float
    events: int


def find_knee(config: PickerConfig, scenario: Scenario, share: float, extent: Extent, gauge: Gauge) -> Knee:
    """The knee of one policy: `share` of all requests are to be in the SLO.

    `extent` is that of the scenario; its rate is tried first.
    """
    probes = _Probes(config, scenario, share, extent.requests, gauge)
    rate = highest(probes.keeps, extent.rate)
    assert probes.run is not None  # at least one rate was tried
    in_order = tuple(sorted(probes.done, key=lambda probe: probe.rate))
    return Knee(rate, probes.run, in_order, probes.simulated, probes.events)


class _Probes:
    """The runs of one search. Of the runs only the one to report is kept: each has every request in it."""

    def __init__(
        self, config: PickerConfig, scenario: Scenario, share: float, requests: int, gauge: Gauge
    ) -> None:
        self._config = config
        self._scenario = scenario
        self._share = share
        self._requests = requests
        self._gauge = gauge
        self._reported: Probe | None = None
        self.run: Run | None = None
        self.done: list[Probe] = []
        self.simulated = 0.0
        self.events = 0

    def keeps(self, rate: float) -> bool:
        """Runs at this rate."""
        before = self._requests * len(self.done)
        self._gauge.expect(self._requests * max(_USUAL, len(self.done) + 1))
        scenario = replace(self._scenario, rate=rate)
        run = simulate(
            self._config, scenario, lambda now, over: self._gauge(self.simulated + now, before + over)
        )
        self.simulated += run.outcome.ended_at
        self.events += run.outcome.events
        probe = Probe(rate, run.measures.in_slo >= self._share, run.measures)
        self.done.append(probe)
        if self._reported is None or _worth(probe) > _worth(self._reported):
            self._reported, self.run = probe, run
        return probe.kept


def _worth(probe: Probe) -> tuple[bool, float]:
    """Of two that keep the SLO the faster is reported, of two that do not the slower."""
    return probe.kept, probe.rate if probe.kept else -probe.rate


def highest(keeps: Callable[[float], bool], start: float) -> float | None:
    """The highest rate that `keeps`, within PRECISION; None if none does. No rate is asked about twice.

    Rates have three digits, so that they can be given again as they are shown. Where every rate up to the
    limit keeps, it is the limit.
    """
    search = _Search(keeps)
    low, high = search.bracket(rounded(start))
    while low is not None and high is not None:
        low, high = search.close_in(low, high)
        lucky = next((rate for rate in (rounded(low * each) for each in _BEYOND) if search.ask(rate)), None)
        if lucky is None:
            break
        low, high = lucky, search.failing_above(lucky)
        if high is None:
            low, high = search.bracket(lucky)
    return low


def rounded(rate: float) -> float:
    """With three digits."""
    return float(f"{rate:.3g}")


class _Search:
    """What is known of the rates so far."""

    def __init__(self, keeps: Callable[[float], bool]) -> None:
        self._keeps = keeps
        self._known: dict[float, bool] = {}

    def ask(self, rate: float) -> bool:
        if rate not in self._known:
            self._known[rate] = self._keeps(rate)
        return self._known[rate]

    def bracket(self, start: float) -> tuple[float | None, float | None]:
        """A rate that keeps and a larger one that does not; None where there is none within the limits."""
        if self.ask(start):
            low = start
            for _ in range(_DOUBLINGS):
                if not self.ask(high := rounded(low * 2)):
                    return low, high
                low = high
            return low, None
        high = start
        for _ in range(_HALVINGS):
            if self.ask(low := rounded(high / 2)):
                return low, high
            high = low
        return None, high

    def close_in(self, low: float, high: float) -> tuple[float, float]:
        while high > low * PRECISION:
            middle = rounded(math.sqrt(low * high))
            if self.ask(middle):
                low = middle
            else:
                high = middle
        return low, high

    def failing_above(self, rate: float) -> float | None:
        return min((each for each, kept in self._known.items() if each > rate and not kept), default=None)
