"""One policy over the same arrivals: in virtual time, and through Envoy and the picker as they run."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.validity.asking import ask_all
from benchmarks.validity.comparison import Answered, Figures, figures
from epp.config.settings import ServeSettings
from epp.sim.engine import Engine, EngineConfig
from epp.simulate.picker import VirtualPicker
from epp.simulate.policies import BUILT_IN, load_policy
from epp.simulate.simulation import LAG, Simulation
from epp.simulate.workload import Arrival
from tests.e2e.stack import Gateway, Picker, Pool

# Servers, Envoy, the picker and the client may have two cores together: a page takes more than a second now
# and then, and a server whose page is late should not count as gone.
_PATIENT = "--metrics-staleness-threshold=5s"


@dataclass(frozen=True, slots=True)
class Servers:
    """Servers that run, and what they are in virtual time: an engine for each address."""

    model: str
    fleet: Mapping[str, EngineConfig]
    time_scale: float = 1.0  # seconds of the arrivals in one real second
    overhead: float = 0.0  # seconds of a request outside of engines, for the virtual ones


def simulated(policy: str, servers: Servers, arrivals: Iterable[Arrival], seed: int) -> Figures:
    """In virtual time; the picker scrapes as often as in real time."""
    engines = {name: Engine(each) for name, each in servers.fleet.items()}
    interval = ServeSettings().refresh_metrics_interval * servers.time_scale
    picker = VirtualPicker(load_policy(policy), list(engines), frozenset(), random.Random(seed), interval)
    outcome = Simulation(picker, engines, arrivals, lag=LAG * servers.time_scale).run()
    answers = [
        Answered(
            done.server,
            done.first_token_at - done.arrived_at + servers.overhead,
            done.last_token_at - done.arrived_at + servers.overhead,
        )
        for done in outcome.done
    ]
    counters = [engine.counters for engine in engines.values()]
    hits, queries = sum(each.prefix_hits for each in counters), sum(each.prefix_queries for each in counters)
    return figures(answers, len(engines), hits / queries)


async def real(policy: str, servers: Servers, arrivals: Iterable[Arrival], folder: Path) -> Figures:
    """Through Envoy and a new picker, whose files go to `folder`."""
    before = await _cache_counts(servers.fleet)
    async with gateway(policy, servers.fleet, folder) as port:
        answers = await ask_all(port, servers.model, arrivals, servers.time_scale)
    after = await _cache_counts(servers.fleet)
    hits, queries = (now - then for now, then in zip(after, before, strict=True))
    return figures(answers, len(servers.fleet), hits / queries)


@asynccontextmanager
async def gateway(policy: str, addresses: Iterable[str], folder: Path) -> AsyncIterator[int]:
    """The port of an Envoy before these servers that asks a picker with this policy."""
    config = _configuration(policy, folder)
    pool = Pool(folder / "pool", addresses)
    async with (
        Picker(folder, pool, f"--config-file={config}", _PATIENT) as picker,
        Gateway(folder, picker, pool, served_by_header=True) as front,
    ):
        yield front.port


def _configuration(policy: str, folder: Path) -> Path:
    folder.mkdir()
    config = folder / "policy.yaml"
    config.write_text(BUILT_IN.get(policy) or Path(policy).read_text())
    return config


async def _cache_counts(addresses: Iterable[str]) -> tuple[float, float]:
    """Of all servers since their start: tokens of prompts found in the prefix cache, and all of them."""
    counts = {"vllm:prefix_cache_hits_total": 0.0, "vllm:prefix_cache_queries_total": 0.0}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for address in addresses:
            page = (await client.get(f"http://{address}/metrics")).text
            for family in text_string_to_metric_families(page):
                for sample in family.samples:
                    if sample.name in counts:
                        counts[sample.name] += sample.value
    hits, queries = counts.values()
    return hits, queries
