"""What a run comes to, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from epp.simulate.simulation import Done, Outcome, Server

QUANTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class Slo:
    """What a good answer keeps: seconds to the first token, and from token to token on average."""

    ttft: float
    tpot: float


@dataclass(frozen=True, slots=True)
class Measures:
    """Seconds, tokens, and shares from 0 to 1. Of an answer with one token no time per token is known."""

    done: int
    duration: float  # from the start to the last answer's end
    ttft: Mapping[str, float]  # by quantile, "p50"
    tpot: Mapping[str, float]
    in_slo: float  # share of all requests, refused ones included, whose answer kept the SLO
    goodput: float  # such requests a second
    requests_per_second: float
    output_tokens_per_second: float
    prefix_hit_rate: float  # of all prompt tokens
    preemptions: int
    adapter_loads: int
    imbalance: float  # requests in flight, over time: of the fullest engine, against the mean of all
    shed: Mapping[str, int]  # by priority: refused by the picker
    impossible: int  # refused by the engine


def measure(outcome: Outcome, servers: Mapping[str, Server], slo: Slo) -> Measures:
    """The numbers of a run that is over."""
    served = outcome.done
    counters = [server.counters for server in servers.values()]
    duration = outcome.ended_at
    asked = len(served) + len(outcome.refused) + len(outcome.impossible)
    good = sum(_is_good(done, slo) for done in served)
    return Measures(
        done=len(served),
        duration=duration,
        ttft=_quantiles(map(_ttft, served)),
        tpot=_quantiles(_tpot(done) for done in served if done.output_tokens > 1),
        in_slo=_ratio(good, asked),
        goodput=_ratio(good, duration),
        requests_per_second=_ratio(len(served), duration),
        output_tokens_per_second=_ratio(sum(done.output_tokens for done in served), duration),
        prefix_hit_rate=_ratio(sum(c.prefix_hits for c in counters), sum(c.prefix_queries for c in counters)),
        preemptions=sum(c.preemptions for c in counters),
        adapter_loads=sum(c.adapter_loads for c in counters),
        imbalance=_imbalance(outcome.done, list(servers)),
        shed={str(p): n for p, n in sorted(Counter(each.priority for each in outcome.refused).items())},
        impossible=len(outcome.impossible),
    )


def _ttft(done: Done) -> float:
    return done.first_token_at - done.arrived_at


def _tpot(done: Done) -> float:
    return (done.last_token_at - done.first_token_at) / (done.output_tokens - 1)


def _is_good(done: Done, slo: Slo) -> bool:
    return _ttft(done) <= slo.ttft and (done.output_tokens == 1 or _tpot(done) <= slo.tpot)


def _imbalance(done: Iterable[Done], servers: Sequence[str]) -> float:
    seconds = dict.fromkeys(servers, 0.0)
    for each in done:
        seconds[each.server] += each.last_token_at - each.arrived_at
    return _ratio(max(seconds.values()) * len(seconds), sum(seconds.values()))


def _quantiles(values: Iterable[float]) -> dict[str, float]:
    known = np.fromiter(values, float)
    return {f"p{q}": float(np.percentile(known, q)) if len(known) else float("nan") for q in QUANTILES}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
