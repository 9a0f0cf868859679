"""One policy over one workload: what every run of `epp simulate` and of the benchmarks is."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from epp.config.picker_config import PickerConfig
from epp.config.settings import ServeSettings
from epp.sim.engine import Engine, EngineConfig
from epp.simulate.measures import Measures, Run, Slo, measure
from epp.simulate.oracle import OracleScorer
from epp.simulate.picker import VirtualPicker
from epp.simulate.progress import Gauge
from epp.simulate.simulation import LAG, Simulation
from epp.simulate.workloads import adapters, arrivals

# Told now and then the virtual time, and how many requests are over.
Progress = Callable[[float, int], object]


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a run needs but its policy. Times in seconds.

    `fleet`: the engines by name. `requests` and `rate` as `arrivals` takes them.
    """

    workload: str
    fleet: Mapping[str, EngineConfig]
    slo: Slo
    requests: int | None = None
    rate: float | None = None  # arrivals a second
    seed: int = 1
    scrape_interval: float = ServeSettings().refresh_metrics_interval
    scrape_lag: float = LAG


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a workload a scenario has."""

    requests: int
    rate: float  # mean arrivals a second


def extent(scenario: Scenario) -> Extent:
    """Counted, one arrival after the other. ConfigError with what is wrong with the workload."""
    requests, last = 0, 0.0
    for arrival in arrivals(scenario.workload, scenario.requests, scenario.rate, scenario.seed):
        requests, last = requests + 1, arrival.at
    return Extent(requests, requests / last if last else float(requests))


def simulate(config: PickerConfig, scenario: Scenario, progress: Progress = lambda now, over: None) -> Run:
    """One run. ConfigError if the workload is a trace that cannot be read."""
    fleet = {name: Engine(each) for name, each in scenario.fleet.items()}
    picker = VirtualPicker(
        config,
        list(fleet),
        adapters(scenario.workload),
        random.Random(scenario.seed),
        scenario.scrape_interval,
    )
    for plugin in picker.policy.plugins:
        if isinstance(plugin, OracleScorer):
            plugin.see(fleet)
            picker.tells_lengths = True
    workload = arrivals(scenario.workload, scenario.requests, scenario.rate, scenario.seed)
    outcome = Simulation(picker, fleet, workload, lag=scenario.scrape_lag, progress=progress).run()
    outcome.misbehaved.update(picker.misbehaved)
    return Run(measure(outcome, fleet, scenario.slo), outcome)


def run_task(config: PickerConfig, scenario: Scenario, requests: int, gauge: Gauge) -> Run:
    """`simulate` as a task of `run_all`."""
    gauge.expect(requests)
    return simulate(config, scenario, gauge)


def measure_task(config: PickerConfig, scenario: Scenario, requests: int, gauge: Gauge) -> Measures:
    """The same where the measures are all that is wanted."""
    return run_task(config, scenario, requests, gauge).measures
