"""Runs to report about: small, and made up so that their numbers can be told by heart."""

from __future__ import annotations

from epp.sim.engine import Engine, EngineConfig
from epp.simulate.measures import Run, Slo, measure
from epp.simulate.simulation import Done, Outcome
from epp.simulate.timeline import Timeline
from epp.simulate.workload import Arrival

SLO = Slo(ttft=2.0, tpot=0.05)


def run(ttft: float = 0.1, engines: int = 2, requests: int = 101, refused: tuple[int, ...] = ()) -> Run:
    """Requests a second apart, all on the first engine, with 11 tokens that take 20 ms each.

    First tokens take from `ttft` to twice as long; `refused` has the priorities of requests that were shed.
    """
    names = [f"engine-{number}" for number in range(engines)]
    servers = {name: Engine(EngineConfig()) for name in names}
    outcome = Outcome(timeline=Timeline(names), ended_at=float(requests))
    for number in range(requests):
        first = number + ttft * (1 + number / (requests - 1))
        outcome.done.append(Done(names[0], float(number), first, first + 0.2, 11, 60, 100, priority=0))
        idle = [(0, 0, 0.0, 0, 0)] * (engines - 1)
        outcome.timeline.add(float(number), [(3, 1, 0.25, 100 * number, 60 * number), *idle])
    outcome.refused = [Arrival(0.0, (), 1, "", priority=priority) for priority in refused]
    outcome.prompt_tokens, outcome.ideal_cached_tokens = 100 * requests, 80 * requests
    servers[names[0]].counters.prefix_queries = 100 * requests
    servers[names[0]].counters.prefix_hits = 60 * requests
    return Run(measure(outcome, servers, SLO), outcome)
