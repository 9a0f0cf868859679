"""From a configuration to the policy that it describes.

Plugins are made by their specs and then set up, each before whoever asks for it. Of a previous policy every
plugin stays, with its state, whose spec is the same and whose own plugins stayed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from epp.config.catalogue import PluginType
from epp.config.document import child_path
from epp.config.fields import fields_of
from epp.config.picker_config import PickerConfig, PluginSpec, ProfileSpec
from epp.datastore.store import Datastore
from epp.errors import ConfigError, Fault
from epp.plugin import (
    UNWATCHED,
    Filter,
    NeedsContext,
    Picker,
    ProfileHandler,
    Scorer,
    Watcher,
)
from epp.plugins.fresh_endpoints_filter import FreshEndpointsFilter
from epp.plugins.inflight_load_producer import InflightLoadProducer
from epp.plugins.registry import OWN_TYPES, kinds_of
from epp.scheduling.detector import WatchedDetector
from epp.scheduling.observers import NamedPlugin, Observers
from epp.scheduling.policy import Made, Policy
from epp.scheduling.profile import NamedFilter, NamedPicker, Profile, WeightedScorer
from epp.scheduling.scheduler import NamedHandler, Scheduler

T = TypeVar("T")

# What requests count for where the configuration does not say.
_LOAD = InflightLoadProducer()

# The filter that stands first in every profile.
_FRESH = "fresh-endpoints-filter"


def build_policy(
    config: PickerConfig,
    store: Datastore,
    staleness: float,
    watcher: Watcher = UNWATCHED,
    previous: Policy | None = None,
) -> Policy:
    """Makes what `config` describes. Raises ConfigError with every fault that shows only now.

    `staleness`: seconds after which an endpoint's load is no longer believed. `previous` goes on working: its
    plugins are shared with it and not changed, so that either of the two can be used afterwards.
    """
    plugins = _Plugins(config, store, watcher, previous.made if previous else ())
    plugins.make()
    if plugins.faults:
        raise ConfigError(plugins.faults)
    made = plugins.made
    profiles = {spec.name: _profile(spec, made, staleness, watcher) for spec in config.profiles}
    handler, detector = made[config.handler], made[config.saturation_detector]
    listed = [NamedPlugin(each.spec.name, each.spec.type.name, each.plugin) for each in made.values()]
    # A handler that has no methods runs the only profile.
    named = (
        NamedHandler(handler.spec.name, handler.spec.type.name, handler.plugin)
        if isinstance(handler.plugin, ProfileHandler)
        else None
    )
    return Policy(
        config,
        Scheduler(profiles, named, watcher),
        WatchedDetector(detector.spec.name, detector.spec.type.name, detector.plugin, watcher),
        made[config.parsers[0]].plugin,
        next((each.plugin for each in made.values() if isinstance(each.plugin, InflightLoadProducer)), _LOAD),
        Observers(listed, watcher),
        tuple(made.values()),
    )


def _profile(spec: ProfileSpec, made: dict[str, Made], staleness: float, watcher: Watcher) -> Profile:
    filters = [NamedFilter(_FRESH, _FRESH, FreshEndpointsFilter(staleness))]
    scorers = []
    pickers = []
    for ref in spec.plugins:
        plugin, type_name = made[ref.name].plugin, made[ref.name].spec.type.name
        if isinstance(plugin, Filter):
            filters.append(NamedFilter(ref.name, type_name, plugin))
        if isinstance(plugin, Scorer):
            assert ref.weight is not None  # scorers have one
            scorers.append(WeightedScorer(ref.name, type_name, plugin, ref.weight))
        if isinstance(plugin, Picker):
            pickers.append(NamedPicker(ref.name, type_name, plugin))
    return Profile(spec.name, filters, scorers, pickers[0], watcher)


class _Plugins:
    """Makes and sets up the plugins of one configuration."""

    def __init__(
        self, config: PickerConfig, store: Datastore, watcher: Watcher, previous: Sequence[Made]
    ) -> None:
        self.store = store
        self.watcher = watcher
        self.profiles = [spec.name for spec in config.profiles]
        self.made: dict[str, Made] = {}
        self.faults: list[Fault] = []
        self._config = config
        self._specs = {spec.name: spec for spec in config.plugins}
        self._previous = {each.spec.name: each for each in previous}
        self._being_made: list[str] = []

    def make(self) -> None:
        """All that the configuration lists."""
        for spec in self._config.plugins:
            try:
                self.named(spec.name)
            except ValueError as error:
                path = child_path(spec.place.path, "parameters")
                self.faults.append(Fault(self._config.file, spec.place.line, path, str(error)))

    def named(self, name: str) -> Made:
        """The plugin of this name, made now if it was not yet. ValueError if it cannot be made."""
        if name not in self.made:
            if name in self._being_made:
                raise ValueError(f"needs itself: {' -> '.join([*self._being_made, name])}")
            self._being_made.append(name)
            try:
                spec = self._specs[name]
                self.made[name] = self._kept(spec) or self._set_up(Made(spec, spec.type.make(spec.arguments)))
            finally:
                self._being_made.pop()
        return self.made[name]

    def shared(self, kind: type[T], name: str, make: Callable[[], T] | None) -> T:
        """See Context.shared."""
        if name:
            spec = self._specs.get(name)
        else:
            spec = next((each for each in self._specs.values() if issubclass(each.type.cls, kind)), None)
        plugin: T
        if spec is None and (not name or (make and name in OWN_TYPES.types)):
            plugin = self._unlisted(name, (make or kind)())
        elif spec is None or not issubclass(spec.type.cls, kind):
            raise ValueError(f'"{name}" is no {kind.__name__}')
        else:
            plugin = self.named(spec.name).plugin
        return plugin

    def _unlisted(self, name: str, plugin: T) -> T:
        """A plugin that the configuration does not list: called `name`, or as its type, from now on."""
        cls = type(plugin)
        plugin_type = OWN_TYPES.of_class(cls) or PluginType(cls.__name__, cls, kinds_of(cls))
        arguments = (
            {each.name: getattr(plugin, each.name) for each in fields_of(cls)}
            if dataclasses.is_dataclass(cls)
            else {}
        )
        spec = PluginSpec(name or plugin_type.name, plugin_type, arguments)
        if spec.name in self._specs:
            raise ValueError(f'"{spec.name}" is the name of another plugin, and one of that type is needed')
        self._specs[spec.name] = spec
        made = self.made[spec.name] = self._kept(spec) or self._set_up(Made(spec, plugin))
        kept: T = made.plugin
        return kept

    def _set_up(self, made: Made) -> Made:
        if isinstance(made.plugin, NeedsContext):
            try:
                made.plugin.setup(_Context(self, made))
            except ValueError:
                raise
            except Exception as error:  # a user's plugin may raise anything
                raise ValueError(f"setup raised {type(error).__name__}: {error}") from error
        return made

    def _kept(self, spec: PluginSpec) -> Made | None:
        """The previous policy's plugin, if it would not come out otherwise today."""
        before = self._previous.get(spec.name)
        if before is None or before.spec != spec or before.profiles not in (None, self.profiles):
            return None
        for kind, name, plugin in before.asked:
            if self.shared(kind, name, lambda plugin=plugin: plugin) is not plugin:  # type: ignore[misc]
                return None
        return dataclasses.replace(before, spec=spec)


class _Context:
    """What one plugin is given: see epp.plugin.Context."""

    def __init__(self, plugins: _Plugins, made: Made) -> None:
        self._plugins = plugins
        self._made = made
        self.store = plugins.store
        self.watcher = plugins.watcher

    @property
    def profiles(self) -> Sequence[str]:
        """See Context."""
        self._made.profiles = self._plugins.profiles
        return self._plugins.profiles

    def shared(self, kind: type[T], name: str = "", make: Callable[[], T] | None = None) -> T:
        """See Context."""
        plugin = self._plugins.shared(kind, name, make)
        self._made.asked.append((kind, name, plugin))
        return plugin
