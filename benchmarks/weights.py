"""Which weights the default profile should have: the real profile and datastore over simulated engines.

`python -m benchmarks.weights` runs every candidate on four workloads in virtual time, with the engine of
`epp sim`, metrics that are read every 50 ms, and the same arrivals for all. It prints the mean over seeds of
the p90 time to first token, and the prefix hit rate. Deterministic: no clock is read.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from epp.config.picker import load_picker_config
from epp.datastore.store import Datastore, Reservation
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.build import build_policy
from epp.scheduling.policy import Policy
from epp.sim.engine import Engine, EngineConfig, SimRequest
from epp.types import (
    Api,
    ControlHeaders,
    EndpointSpec,
    InferenceRequest,
    LoadSample,
    ParsedBody,
    PoolSpec,
    Prompt,
    Snapshot,
)

SCRAPE_INTERVAL = 0.05  # --refresh-metrics-interval
SEEDS = (1, 2, 3)
BYTES_PER_TOKEN = 4

QUEUE, KV, PREFIX, LORA, ACTIVE = (
    "queue-scorer",
    "kv-cache-utilization-scorer",
    "prefix-cache-scorer",
    "lora-affinity-scorer",
    "active-request-scorer",
)
REFERENCE = {QUEUE: 2.0, KV: 2.0, PREFIX: 3.0}


@dataclass(frozen=True)
class Workload:
    """Requests of `groups` shared prefixes, an adapter each if there are any, arriving in bursts."""

    name: str
    rate: float  # requests/s over all engines
    groups: int
    prefix_tokens: int
    own_tokens: int
    output_tokens: int
    adapters: int = 0
    burst: int = 1
    requests: int = 1200
    engines: int = 4


WORKLOADS = (
    Workload("shared-prefix", rate=40, groups=24, prefix_tokens=4000, own_tokens=400, output_tokens=200),
    Workload("no-prefix", rate=36, groups=1, prefix_tokens=16, own_tokens=3000, output_tokens=200),
    Workload("many-adapters", 40, 12, 600, 600, 150, adapters=12),
    Workload("bursts", 30, 24, 2000, 600, 150, burst=16),
)


@dataclass(frozen=True)
class Result:
    """TTFT in ms; hit rate 0..1 of prompt tokens; adapter loads."""

    p50: float
    p90: float
    hits: float
    loads: int


def arrivals(workload: Workload, rng: random.Random) -> Iterator[tuple[float, str, bytes]]:
    """(time, model, prompt); popularity of groups and adapters falls as 1/rank."""
    prefixes = [rng.randbytes(workload.prefix_tokens * BYTES_PER_TOKEN) for _ in range(workload.groups)]
    ranks = [1 / (rank + 1) for rank in range(workload.groups)]
    at = 0.0
    for number in range(workload.requests):
        if number % workload.burst == 0:
            at += rng.expovariate(workload.rate / workload.burst)
        group = rng.choices(range(workload.groups), ranks)[0]
        model = f"adapter-{group % workload.adapters}" if workload.adapters else "base"
        yield at, model, prefixes[group] + rng.randbytes(workload.own_tokens * BYTES_PER_TOKEN)


class Run:
    """One workload on simulated engines under one set of weights."""

    def __init__(self, workload: Workload, weights: Mapping[str, float], seed: int) -> None:
        self._workload = workload
        self._rng = random.Random(seed)
        config = EngineConfig(max_loras=4)
        self._engines = {f"e{n}": Engine(config) for n in range(workload.engines)}
        self._store = Datastore()
        specs = tuple(EndpointSpec(name, "10.0.0.1", 8000 + n) for n, name in enumerate(self._engines))
        self._store.apply(Snapshot(PoolSpec("bench"), specs))
        adapters = frozenset(f"adapter-{n}" for n in range(workload.adapters))
        for name in self._engines:
            self._store.models_listed(name, frozenset({"base"}), adapters)
        self._policy = _policy(weights, self._store)
        self._held: dict[str, Reservation] = {}
        self._stepping: set[str] = set()
        self._first_tokens: list[float] = []
        self._order = itertools.count()
        self._events: list[tuple[float, int, str, object]] = []

    def result(self) -> Result:
        """Runs to the end."""
        for at, model, prompt in arrivals(self._workload, self._rng):
            self._push(at, "arrive", (model, prompt))
        self._push(0.0, "scrape", None)
        left = self._workload.requests
        while left:
            now, _, kind, what = heapq.heappop(self._events)
            match kind, what:
                case "scrape", _:
                    self._scrape(now)
                case "arrive", (str(model), bytes(prompt)):
                    self._arrive(now, model, prompt)
                case "step", str(name):
                    left -= self._step(now, name)
        times = [1000 * value for value in self._first_tokens]
        counters = [engine.counters for engine in self._engines.values()]
        queries = sum(c.prefix_queries for c in counters)
        return Result(
            statistics.median(times),
            statistics.quantiles(times, n=10)[-1],
            sum(c.prefix_hits for c in counters) / queries,
            sum(c.adapter_loads for c in counters),
        )

    def _push(self, at: float, kind: str, what: object) -> None:
        heapq.heappush(self._events, (at, next(self._order), kind, what))

    def _scrape(self, now: float) -> None:
        for name, engine in self._engines.items():
            config = engine.config
            sample = LoadSample(
                engine.waiting,
                engine.running,
                engine.kv_usage,
                config.block_size,
                config.num_blocks,
                config.max_loras,
                frozenset(engine.active_adapters),
            )
            self._store.scraped(name, sample, SCRAPE_INTERVAL, now)
        self._push(now + SCRAPE_INTERVAL, "scrape", None)

    def _arrive(self, now: float, model: str, prompt: bytes) -> None:
        tokens = len(prompt) // BYTES_PER_TOKEN
        body = ParsedBody(
            Api.COMPLETIONS,
            model,
            max_tokens=self._workload.output_tokens,
            prompt=Prompt((memoryview(prompt),), tokens),
        )
        name = str(next(self._order))
        request = InferenceRequest(name, "/v1/completions", {}, body, ControlHeaders(), model)
        decision = self._policy.scheduler.run(request, self._store.candidates(None, now), self._rng)
        self._policy.observers.placed(request, decision)
        endpoint = decision.picked[0]
        self._held[name] = self._store.reserve(endpoint, tokens, model)
        adapter = "" if model == "base" else model
        engine = self._engines[endpoint.spec.name]
        size = engine.config.block_size * BYTES_PER_TOKEN
        hashes, before = [], hash(adapter)
        for start in range(0, len(prompt) - size + 1, size):
            before = hash((before, prompt[start : start + size]))
            hashes.append(before)
        engine.submit(SimRequest(name, tokens, self._workload.output_tokens, hashes, adapter), now)
        if endpoint.spec.name not in self._stepping:
            self._stepping.add(endpoint.spec.name)
            self._push(now, "step", endpoint.spec.name)

    def _step(self, now: float, name: str) -> int:
        result = self._engines[name].step(now)
        for sequence in result.tokens:
            if sequence.produced == 1:
                self._first_tokens.append(now - sequence.arrived_at)
        for sequence in result.finished:
            self._held.pop(sequence.request.id).release()
        if result.ends_at is None:
            self._stepping.discard(name)
        else:
            self._push(result.ends_at, "step", name)
        return len(result.finished)


def _policy(weights: Mapping[str, float], store: Datastore) -> Policy:
    config = {
        "apiVersion": "inference.networking.x-k8s.io/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": [{"type": name} for name in weights],
        "schedulingProfiles": [
            {
                "name": "bench",
                "plugins": [{"pluginRef": name, "weight": weight} for name, weight in weights.items()],
            }
        ],
    }
    loaded = load_picker_config(json.dumps(config), "weights", OWN_TYPES)
    return build_policy(loaded, store, staleness=2.0)


def candidates() -> Iterator[tuple[str, dict[str, float]]]:
    """The reference's weights, then the two scorers of our own with one weight varied at a time."""
    yield "reference 2/2/3", REFERENCE
    for lora, active in [(0.0, 2.0), (1.0, 2.0), (2.0, 0.0), (2.0, 1.0), (2.0, 2.0), (2.0, 4.0), (3.0, 2.0)]:
        yield f"+ lora {lora:g} active {active:g}", {**REFERENCE, LORA: lora, ACTIVE: active}


def main() -> int:
    """Prints the table."""
    scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    workloads = [replace(w, rate=w.rate * scale) for w in WORKLOADS]
    print(f"mean of {len(SEEDS)} seeds: p90 TTFT in ms (prefix hit rate) [adapter loads]; load x {scale:g}")
    print(f"{'weights':24}" + "".join(f"{workload.name:>24}" for workload in workloads))
    for title, weights in candidates():
        cells = []
        for workload in workloads:
            runs = [Run(workload, weights, seed).result() for seed in SEEDS]
            p90 = statistics.mean(run.p90 for run in runs)
            hits = statistics.mean(run.hits for run in runs)
            loads = statistics.mean(run.loads for run in runs)
            cells.append(f"{p90:9.0f} ({hits:4.0%}) [{loads:4.0f}]")
        print(f"{title:24}" + "".join(f"{cell:>24}" for cell in cells), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
