"""Plugins by themselves, for tests: what they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from epp.datastore.endpoints import Candidates
from epp.datastore.store import Datastore
from epp.plugin import UNWATCHED, NeedsContext, Scorer, Watcher
from epp.types import InferenceRequest
from tests.pools import per_candidate

T = TypeVar("T")


@dataclass
class Surroundings:
    """A `Context` over `store`."""

    store: Datastore
    watcher: Watcher = UNWATCHED
    plugins: dict[str, object] = field(default_factory=dict)
    profiles: Sequence[str] = ("default",)

    def shared(self, kind: type[T], name: str = "", make: Callable[[], T] | None = None) -> T:
        for known, plugin in self.plugins.items():
            if isinstance(plugin, kind) and name in ("", known):
                return plugin
        if name:
            raise ValueError(f'"{name}" is no {kind.__name__}')
        self.plugins[kind.__name__] = made = (make or kind)()
        return self.set_up(made)

    def set_up(self, plugin: T) -> T:
        if isinstance(plugin, NeedsContext):
            plugin.setup(self)
        return plugin


def set_up(plugin: T, store: Datastore, watcher: Watcher = UNWATCHED) -> T:
    """`plugin` as a configuration that lists nothing else would have it."""
    return Surroundings(store, watcher).set_up(plugin)


def scores(scorer: Scorer, request: InferenceRequest, endpoints: Candidates) -> list[float]:
    """A score for each candidate."""
    return per_candidate(scorer.score(request, endpoints), endpoints)
