"""Everything that a configuration decides about requests, as one value: it is replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from epp.config.picker_config import PickerConfig, PluginSpec
from epp.plugin import Parser
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.plugins.inflight_load_producer import InflightLoadProducer
from epp.scheduling.detector import WatchedDetector
from epp.scheduling.observers import Observers
from epp.scheduling.scheduler import Scheduler


@dataclass(slots=True)
class Made:
    """A plugin that was made: of what, and which plugins it was given when it was set up.

    `asked` has the class and the name by which it asked for each of them; `profiles` the names of the
    profiles, if it asked for those.
    """

    spec: PluginSpec
    plugin: Any
    asked: list[tuple[type, str, Any]] = field(default_factory=list)
    profiles: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How requests are scheduled, and who is told what."""

    config: PickerConfig
    scheduler: Scheduler
    detector: WatchedDetector
    parser: Parser
    load: InflightLoadProducer
    observers: Observers
    made: tuple[Made, ...]  # each plugin once

    @property
    def in_force(self) -> PickerConfig:
        """The configuration with the plugins that others made for themselves, as if it listed them."""
        listed = {spec.name for spec in self.config.plugins}
        others = (each.spec for each in self.made if each.spec.name not in listed)
        return replace(self.config, plugins=(*self.config.plugins, *others))

    @property
    def plugins(self) -> tuple[object, ...]:
        """All plugins, those that others made for themselves included."""
        return tuple(each.plugin for each in self.made)

    @property
    def prefix_blocks(self) -> int:
        """Blocks in all indexes of prefixes."""
        indexes = (plugin for plugin in self.plugins if isinstance(plugin, ApproxPrefixCacheProducer))
        return sum(index.blocks_held for index in indexes)
