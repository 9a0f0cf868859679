"""From a configuration to the policy that it describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from epp.config.picker import DEFAULT_SATURATION_DETECTOR, PickerConfig, PluginRef, PluginSpec, ProfileSpec
from epp.config.suggestion import did_you_mean
from epp.datastore.store import Datastore
from epp.errors import ConfigError, Fault
from epp.plugin import (
    UNWATCHED,
    Filter,
    NeedsContext,
    Picker,
    PlacementObserver,
    SaturationDetector,
    Scorer,
    Watcher,
)
from epp.plugins.fresh_endpoints_filter import FreshEndpointsFilter
from epp.plugins.max_score_picker import MaxScorePicker
from epp.plugins.registry import ALWAYS_ON, FACTORIES
from epp.plugins.utilization_detector import UtilizationDetector
from epp.scheduling.policy import Policy
from epp.scheduling.profile import NamedFilter, NamedPicker, Profile, WeightedScorer
from epp.scheduling.scheduler import NamedObserver, Scheduler

T = TypeVar("T")

# Queue, KV use and prefix as in the reference's built-in profile. The two others are ours, with weights found
# by benchmarks/weights.py: see docs/scheduling.md.
DEFAULT_WEIGHTS = {
    "queue-scorer": 2.0,
    "kv-cache-utilization-scorer": 2.0,
    "prefix-cache-scorer": 3.0,
    "lora-affinity-scorer": 2.0,
    "active-request-scorer": 2.0,
}

# The configuration that counts when none is given.
DEFAULT_CONFIG = PickerConfig(
    plugins=tuple(PluginSpec(name, name, {}, 0) for name in DEFAULT_WEIGHTS),
    profiles=(
        ProfileSpec("default", tuple(PluginRef(name, weight) for name, weight in DEFAULT_WEIGHTS.items())),
    ),
)

_FILE = "EndpointPickerConfig"


@dataclass
class _Builder:
    """Makes one policy; the plugins' `Context`."""

    config: PickerConfig
    store: Datastore
    watcher: Watcher
    made: dict[str, object] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def profiles(self) -> Sequence[str]:
        """See Context."""
        return [spec.name for spec in self.config.profiles] or [_every_plugin(self.config).name]

    def shared(self, kind: type[T], name: str = "", make: Callable[[], T] | None = None) -> T:
        """See Context."""
        if name:
            plugin = self.made.get(name)
            if not isinstance(plugin, kind):
                raise ValueError(f'"{name}" is no {kind.__name__}')
            return plugin
        for plugin in self.made.values():
            if isinstance(plugin, kind):
                return plugin
        plugin = (make or kind)()
        self.made[kind.__name__] = plugin
        self.types[kind.__name__] = kind.__name__
        self.set_up(plugin)
        return plugin

    def set_up(self, plugin: object) -> None:
        if isinstance(plugin, NeedsContext):
            plugin.setup(self)

    def make_plugins(self) -> dict[str, object]:
        made = self.made
        for index, spec in enumerate(self.config.plugins):
            factory = FACTORIES.get(spec.type)
            path = f"plugins[{index}]"
            if factory is None:
                if spec.type not in ALWAYS_ON:
                    hint = did_you_mean(spec.type, [*FACTORIES, *sorted(ALWAYS_ON)])
                    self._fault(spec.line, f"{path}.type", f'"{spec.type}" is not a plugin type here{hint}')
                continue
            try:
                made[spec.name] = factory(spec.parameters)
                self.types[spec.name] = spec.type
            except ValueError as error:
                self._fault(spec.line, f"{path}.parameters", str(error))
        for plugin in list(made.values()):
            self.set_up(plugin)
        return made

    def profile(self, made: Mapping[str, object], staleness: float) -> Profile:
        if len(self.config.profiles) > 1:
            self._fault(0, "schedulingProfiles", "this version runs one profile")
        listed = self.config.profiles[0] if self.config.profiles else _every_plugin(self.config)
        types = {spec.name: spec.type for spec in self.config.plugins}
        fresh = "fresh-endpoints-filter"
        filters = [NamedFilter(fresh, fresh, FreshEndpointsFilter(staleness))]
        scorers: list[WeightedScorer] = []
        pickers: list[NamedPicker] = []
        for ref in listed.plugins:
            if ref.name in (scorer.name for scorer in scorers):
                self._fault(0, f"schedulingProfiles.{listed.name}", f'lists "{ref.name}" twice')
                continue
            match made.get(ref.name):
                case Filter() as plugin:
                    filters.append(NamedFilter(ref.name, types[ref.name], plugin))
                case Scorer() as plugin:
                    weight = 1.0 if ref.weight is None else ref.weight
                    scorers.append(WeightedScorer(ref.name, types[ref.name], plugin, weight))
                case Picker() as plugin:
                    pickers.append(NamedPicker(ref.name, types[ref.name], plugin))
        if len(pickers) > 1:
            self._fault(0, f"schedulingProfiles.{listed.name}", "a profile has one picker, this one several")
        picker = pickers[0] if pickers else _any_picker(made, types)
        return Profile(listed.name, filters, scorers, picker, self.watcher)

    def detector(self, made: Mapping[str, object]) -> SaturationDetector:
        name = self.config.saturation_detector or DEFAULT_SATURATION_DETECTOR
        plugin = made.get(name)
        if plugin is None and name == DEFAULT_SATURATION_DETECTOR:
            return UtilizationDetector()
        if not isinstance(plugin, SaturationDetector):
            self._fault(0, "saturationDetector", f'"{name}" is not a saturation detector')
            return UtilizationDetector()
        return plugin

    def _fault(self, line: int, path: str, message: str) -> None:
        self.faults.append(Fault(_FILE, line, path, message))


def build_policy(
    config: PickerConfig, store: Datastore, staleness: float, watcher: Watcher = UNWATCHED
) -> Policy:
    """Makes what `config` describes. Raises ConfigError with every fault.

    `staleness`: seconds after which an endpoint's load is no longer believed.
    """
    builder = _Builder(config, store, watcher)
    made = builder.make_plugins()
    profile = builder.profile(made, staleness)
    detector = builder.detector(made)
    if builder.faults:
        raise ConfigError(builder.faults)
    observers = [
        NamedObserver(name, builder.types[name], plugin)
        for name, plugin in made.items()
        if isinstance(plugin, PlacementObserver)
    ]
    return Policy(
        Scheduler({profile.name: profile}, None, observers, watcher), detector, tuple(made.values())
    )


def _every_plugin(config: PickerConfig) -> ProfileSpec:
    """The profile of a configuration that has none: all its plugins, in the order of the file."""
    return ProfileSpec("default", tuple(PluginRef(spec.name) for spec in config.plugins))


def _any_picker(made: Mapping[str, object], types: Mapping[str, str]) -> NamedPicker:
    for name, plugin in made.items():
        if isinstance(plugin, Picker):
            return NamedPicker(name, types[name], plugin)
    return NamedPicker("max-score-picker", "max-score-picker", MaxScorePicker())
