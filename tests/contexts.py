"""What plugins under test are given by `setup`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from epp.datastore.store import Datastore
from epp.plugin import UNWATCHED, NeedsContext, Watcher

T = TypeVar("T")


@dataclass
class PluginContext:
    """A `Context` over a store and plugins by name."""

    store: Datastore
    plugins: dict[str, object] = field(default_factory=dict)
    profiles: Sequence[str] = ("default",)
    watcher: Watcher = UNWATCHED

    def shared(self, kind: type[T], name: str = "", make: Callable[[], T] | None = None) -> T:
        """See Context."""
        for known, plugin in self.plugins.items():
            if isinstance(plugin, kind) and name in ("", known):
                return plugin
        if name:
            raise ValueError(f'"{name}" is no {kind.__name__}')
        made = self.set_up((make or kind)())
        self.plugins[kind.__name__] = made
        return made

    def set_up(self, plugin: T) -> T:
        """`plugin`, given this context."""
        if isinstance(plugin, NeedsContext):
            plugin.setup(self)
        return plugin
