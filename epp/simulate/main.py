"""`epp simulate`: one workload under several policies, in virtual time."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from epp.config.flags import parse_flags
from epp.config.picker_config import PickerConfig
from epp.discovery import load_catalogue
from epp.errors import ConfigError, Fault
from epp.sim.engine import Engine
from epp.simulate.generators import ADAPTERS, GENERATORS, generate
from epp.simulate.measures import Measures, measure
from epp.simulate.picker import VirtualPicker
from epp.simulate.policies import load_policy
from epp.simulate.report import document, table
from epp.simulate.settings import SimulateSettings
from epp.simulate.simulation import Simulation
from epp.simulate.traces import read_trace, replay
from epp.simulate.workload import Arrival

_PROGRAM = "epp simulate"

# Where neither the flags nor a trace say: enough for a p99, and what four engines can do of most.
_REQUESTS = 2000
_RATE = 20.0


def main(argv: Sequence[str]) -> int:
    """Runs `epp simulate`; ConfigError for wrong flags, traces and policies."""
    settings = parse_flags(SimulateSettings, argv, program=_PROGRAM)
    users = [each for each in load_catalogue(settings.plugin_path).types.values() if each.origin]
    policies = {name: load_policy(name, users) for name in settings.policy}
    runs = {name: _run(name, config, settings) for name, config in policies.items()}
    numbers = document(asdict(settings), runs)
    if settings.json == "-":
        print(numbers, end="")
        return 0
    print(table(runs), end="")
    if settings.json:
        _write(settings.json, numbers)
    return 0


def _run(name: str, config: PickerConfig, settings: SimulateSettings) -> Measures:
    """One policy; how fast it went is told on standard error."""
    fleet = {f"engine-{number}": Engine(each) for number, each in enumerate(settings.fleet)}
    picker = VirtualPicker(
        config, list(fleet), ADAPTERS, random.Random(settings.seed), settings.refresh_metrics_interval
    )

    def progress(now: float, over: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{name}: {over} requests, {now:.0f} s simulated", end="\r", file=sys.stderr)

    began = time.perf_counter()
    simulation = Simulation(picker, fleet, _arrivals(settings), lag=settings.scrape_lag, progress=progress)
    outcome = simulation.run()
    took = time.perf_counter() - began
    print(
        f"{name}: {outcome.ended_at:.0f} s simulated in {took:.1f} s, {outcome.events} events, "
        f"{outcome.events / took:.0f} a second",
        file=sys.stderr,
    )
    return measure(outcome, fleet, settings.slo)


def _arrivals(settings: SimulateSettings) -> Iterator[Arrival]:
    if settings.workload in GENERATORS:
        return generate(
            settings.workload, settings.requests or _REQUESTS, settings.rate or _RATE, settings.seed
        )
    return replay(read_trace(Path(settings.workload)), settings.requests, settings.rate)


def _write(path: str, content: str) -> None:
    try:
        Path(path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigError([Fault(path, 0, "", f"cannot be written: {error.strerror}")]) from error
