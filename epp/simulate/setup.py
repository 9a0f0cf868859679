"""What a simulation needs, read from the files that its settings name.

All faults are told at once, before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from epp.config.picker_config import PickerConfig
from epp.datastore.store import Datastore
from epp.discovery import load_catalogue
from epp.errors import ConfigError, Fault
from epp.scheduling.build import build_policy
from epp.sim.engine import EngineConfig
from epp.simulate.fleet import alike, load_fleet
from epp.simulate.policies import load_policy
from epp.simulate.run import Extent, Scenario, extent
from epp.simulate.settings import SimulateSettings
from epp.simulate.sweep import Sweep, load_sweep

T = TypeVar("T")

# Engines where neither --engines nor --fleet says.
_ENGINES = 4


@dataclass(frozen=True, slots=True)
class Setup:
    """What runs: `policies` as they were asked for, and the `extent` of the workload."""

    scenario: Scenario
    extent: Extent
    policies: Mapping[str, PickerConfig]
    sweep: Sweep | None


def set_up(settings: SimulateSettings) -> Setup:
    """ConfigError with every fault in policies, plugins, fleet, workload, sweep, and files to be written."""
    # Without their plugins all policies would be faulty.
    users = [each for each in load_catalogue(settings.plugin_path).types.values() if each.origin]
    faults: list[Fault] = []

    def attempt(load: Callable[[], T]) -> T | None:
        try:
            return load()
        except ConfigError as error:
            faults.extend(error.faults)
            return None

    def policy(name: str) -> PickerConfig:
        config = load_policy(name, users)
        build_policy(config, Datastore(), staleness=1.0)  # some faults show only when plugins are set up
        return config

    policies = {name: attempt(lambda name=name: policy(name)) for name in settings.policy}  # type: ignore[misc]
    fleet = attempt(
        lambda: load_fleet(settings.fleet) if settings.fleet else alike(settings.engines or _ENGINES)
    )
    scenario = _scenario(settings, fleet or alike(1))
    workload = attempt(lambda: extent(scenario))
    sweep = attempt(lambda: load_sweep(settings.sweep, settings.seed, policy)) if settings.sweep else None
    faults += filter(None, map(_unwritable, (settings.html, settings.json, settings.sweep_out)))
    if faults or workload is None:
        raise ConfigError(list(dict.fromkeys(faults)))
    return Setup(scenario, workload, {name: each for name, each in policies.items() if each}, sweep)


def _scenario(settings: SimulateSettings, fleet: Mapping[str, EngineConfig]) -> Scenario:
    return Scenario(
        settings.workload,
        fleet,
        settings.slo,
        settings.requests,
        settings.rate,
        settings.seed,
        settings.refresh_metrics_interval,
        settings.scrape_lag,
    )


def _unwritable(path: str) -> Fault | None:
    """Why a report could not be written at the end, as far as it can be told now."""
    folder = Path(path).parent
    if path in ("", "-") or folder.is_dir():
        return None
    return Fault(path, 0, "", f"cannot be written: {folder} is no directory")
