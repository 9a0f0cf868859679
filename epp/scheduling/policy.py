"""Everything that a configuration decides about requests, as one value: it is replaced as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from epp.plugin import DepartureObserver, ResponseObserver, SaturationDetector, UsageObserver
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.scheduling.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class Policy:
    """How requests are scheduled, and who is told what."""

    scheduler: Scheduler
    detector: SaturationDetector
    plugins: tuple[object, ...]  # all that were made, each once

    @property
    def responses(self) -> tuple[ResponseObserver, ...]:
        """Plugins that see the headers of answers."""
        return tuple(plugin for plugin in self.plugins if isinstance(plugin, ResponseObserver))

    @property
    def usages(self) -> tuple[UsageObserver, ...]:
        """Plugins that see what answers used."""
        return tuple(plugin for plugin in self.plugins if isinstance(plugin, UsageObserver))

    @property
    def prefix_blocks(self) -> int:
        """Blocks in all indexes of prefixes."""
        indexes = (plugin for plugin in self.plugins if isinstance(plugin, ApproxPrefixCacheProducer))
        return sum(index.blocks_held for index in indexes)

    def left(self, slot: int) -> None:
        """The endpoint at `slot` left the pool."""
        for plugin in self.plugins:
            if isinstance(plugin, DepartureObserver):
                plugin.left(slot)
