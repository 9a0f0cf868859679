"""What a run comes to, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epp.simulate.simulation import Done, Outcome, Server
from epp.simulate.timeline import Timeline

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# "mean", "p50", "p90" and "p99" of times in seconds; all NaN if there are none.
Distribution = Mapping[str, float]

_QUANTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class Slo:
    """What a good answer keeps: seconds to the first token, and from token to token on average."""

    ttft: float
    tpot: float


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """What requests of one priority got."""

    requests: int  # that arrived
    shed: int  # refused by the picker
    in_slo: float  # share of `requests`
    ttft: Distribution


@dataclass(frozen=True, slots=True)
class Measures:
    """Seconds, tokens, and shares from 0 to 1. Of an answer with one token no time per token is known."""

    slo: Slo
    requests: int  # that arrived
    done: int  # with their whole answer
    duration: float  # from the start to the last answer's end
    ttft: Distribution  # from arrival to the first token
    tpot: Distribution  # of each answer its mean time from token to token
    latency: Distribution  # from arrival to the last token
    in_slo: float  # share of `requests` whose answer kept the SLO
    goodput: float  # such requests a second, while requests arrive
    requests_per_second: float  # done
    prompt_tokens_per_second: float
    output_tokens_per_second: float
    prefix_hit_rate: float  # share of prompt tokens that an engine had in its cache
    ideal_hit_rate: float  # the same for one endless cache that all engines share
    preemptions: int
    adapter_loads: int
    imbalance: float  # see `imbalance`
    shed: Mapping[str, int]  # by priority: refused by the picker
    impossible: int  # refused by the engine
    priorities: Mapping[str, PriorityClass]  # from the highest


class Run(NamedTuple):
    """One policy over one workload."""

    measures: Measures
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Answers:
    """Of each request that was served, in the order of `Outcome.done`; arrays of shape (requests,)."""

    priority: NDArray[np.int64]
    ttft: Floats  # seconds, as all that follow
    tpot: Floats  # NaN for an answer of one token
    latency: Floats

    def good(self, slo: Slo) -> Flags:
        """Those that kept the SLO."""
        return (self.ttft <= slo.ttft) & ((self.tpot <= slo.tpot) | np.isnan(self.tpot))


def answers(done: Iterable[Done]) -> Answers:
    """The times of `done`."""
    each = [(d.priority, d.arrived_at, d.first_token_at, d.last_token_at, d.output_tokens) for d in done]
    priority, arrived, first, last, tokens = np.array(each, np.float64).reshape(-1, 5).T
    with np.errstate(invalid="ignore"):  # 0 / 0 of an answer with one token: NaN
        tpot = (last - first) / (tokens - 1)
    return Answers(priority.astype(np.int64), first - arrived, tpot, last - arrived)


def measure(outcome: Outcome, servers: Mapping[str, Server], slo: Slo) -> Measures:
    """The numbers of a run that is over."""
    served = answers(outcome.done)
    good = served.good(slo)
    counters = [server.counters for server in servers.values()]
    duration = outcome.ended_at
    classes = _classes(outcome, served, good)
    requests = len(outcome.done) + len(outcome.refused) + len(outcome.impossible)
    return Measures(
        slo=slo,
        requests=requests,
        done=len(outcome.done),
        duration=duration,
        ttft=distribution(served.ttft),
        tpot=distribution(served.tpot),
        latency=distribution(served.latency),
        in_slo=_ratio(good.sum(), requests),
        goodput=_ratio(good.sum(), _arriving(outcome) or duration),
        requests_per_second=_ratio(len(outcome.done), duration),
        prompt_tokens_per_second=_ratio(outcome.prompt_tokens, duration),
        output_tokens_per_second=_ratio(sum(done.output_tokens for done in outcome.done), duration),
        prefix_hit_rate=_ratio(sum(c.prefix_hits for c in counters), sum(c.prefix_queries for c in counters)),
        ideal_hit_rate=_ratio(outcome.ideal_cached_tokens, outcome.prompt_tokens),
        preemptions=sum(c.preemptions for c in counters),
        adapter_loads=sum(c.adapter_loads for c in counters),
        imbalance=imbalance(in_flight(outcome.timeline)),
        shed={priority: each.shed for priority, each in classes.items() if each.shed},
        impossible=len(outcome.impossible),
        priorities=classes,
    )


def _arriving(outcome: Outcome) -> float:
    """When the last request arrived.

    After that the last answers are waited for: how long they are says nothing of how many a pool serves well.
    """
    arrivals = [done.arrived_at for done in outcome.done]
    return max(arrivals + [each.at for each in outcome.refused + outcome.impossible], default=0.0)


def distribution(seconds: Floats) -> Distribution:
    """Of the times that are known."""
    known = seconds[~np.isnan(seconds)]
    if not len(known):
        known = np.array([np.nan])
    quantiles = zip(_QUANTILES, np.percentile(known, _QUANTILES), strict=True)
    return {"mean": float(known.mean()), **{f"p{quantile}": float(value) for quantile, value in quantiles}}


def in_flight(timeline: Timeline) -> Floats:
    """Requests of each engine, running and waiting: (samples, engines)."""
    return (timeline.running + timeline.waiting).astype(np.float64)


def imbalance(load: Floats) -> float:
    """The fullest engine's load at each moment, on average over time, against the mean engine's.

    `load` is (samples, engines). 1 is a pool where every engine has the same, the number of engines one where
    one has all. Moments count as much as they are busy: few requests on many engines cannot be balanced. NaN
    if nothing was ever there.
    """
    mean = load.mean() if load.size else 0.0
    return float(load.max(axis=1).mean() / mean) if mean else float("nan")


def _classes(outcome: Outcome, served: Answers, good: Flags) -> dict[str, PriorityClass]:
    shed = np.array([each.priority for each in outcome.refused], np.int64)
    impossible = np.array([each.priority for each in outcome.impossible], np.int64)
    found = {}
    for priority in np.unique(np.concatenate([served.priority, shed, impossible]))[::-1]:
        of_it = served.priority == priority
        refused = int((shed == priority).sum())
        requests = int(of_it.sum() + refused + (impossible == priority).sum())
        in_slo = _ratio((good & of_it).sum(), requests)
        found[str(priority)] = PriorityClass(requests, refused, in_slo, distribution(served.ttft[of_it]))
    return found


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
