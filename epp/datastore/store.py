"""The datastore: everything the picker knows, with one way in for each kind of news.

Sources bring snapshots, the scraper brings loads and model lists, the director reserves and releases.
`apply` returns what changed, and its caller sees to what should be done about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from epp.datastore.adapters import Adapters
from epp.datastore.endpoints import Candidates, Endpoint, Endpoints
from epp.datastore.rewrites import Rewrites
from epp.types import DEFAULT_PRIORITY, EndpointSpec, LoadSample, PoolSpec, Rewrite, Snapshot

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class Changes:
    """What a snapshot changed among the endpoints."""

    added: tuple[EndpointSpec, ...] = ()
    removed: tuple[EndpointSpec, ...] = ()


class Reservation:
    """What one placed request holds on its endpoint. `release` gives it back, once, however often called."""

    __slots__ = ("_adapter", "_held", "_store", "_tokens", "endpoint")

    def __init__(self, store: Datastore, endpoint: Endpoint, tokens: int, adapter: str) -> None:
        self.endpoint = endpoint
        self._store = store
        self._tokens = tokens
        self._adapter = adapter
        self._held = True
        self._take()

    def move(self, endpoint: Endpoint) -> None:
        """Another endpoint serves the request after all, a fallback that the gateway went to."""
        if self._held and endpoint is not self.endpoint:
            self._give_back()
            self.endpoint = endpoint
            self._take()

    def release(self) -> None:
        """Gives everything back."""
        if self._held:
            self._held = False
            self._give_back()

    def _take(self) -> None:
        if self.endpoint.slot >= 0:
            self._store.endpoints.reserve(self.endpoint, self._tokens)
            if self._adapter:
                self._store.adapters.reserve(self.endpoint.slot, self._adapter)

    def _give_back(self) -> None:
        if self.endpoint.slot >= 0:
            self._store.endpoints.release(self.endpoint, self._tokens)
            if self._adapter:
                self._store.adapters.release(self.endpoint.slot, self._adapter)


class Datastore:
    """The pool and all that is known of it."""

    def __init__(self) -> None:
        self.pool: PoolSpec | None = None
        self.endpoints = Endpoints()
        self.adapters = Adapters()
        self.departed: Callable[[int], object] = lambda slot: None  # told the slot of each endpoint that goes
        self._priorities: dict[str, int] = {}
        self._model_priorities: dict[str, int] = {}
        self._rewrites = Rewrites()

    def __repr__(self) -> str:
        pool = self.pool.name if self.pool else "no pool"
        return f"<Datastore {pool}: {len(self.endpoints)} endpoints, {len(self._priorities)} objectives>"

    # What exists -----------------------------------------------------------------------------------------

    def apply(self, snapshot: Snapshot) -> Changes:
        """Makes the datastore say what `snapshot` says. An endpoint whose address changed is a new one."""
        self.pool = snapshot.pool
        self._priorities = {o.name: o.priority for o in snapshot.objectives if not o.model}
        self._model_priorities = {o.model: o.priority for o in snapshot.objectives if o.model}
        self._rewrites = Rewrites(snapshot.rewrites)
        wanted = {spec.name: spec for spec in snapshot.endpoints} if snapshot.pool else {}
        gone = [e for e in self.endpoints if not _same_server(e.spec, wanted.get(e.spec.name))]
        removed = tuple(endpoint.spec for endpoint in gone)
        for endpoint in gone:
            self._remove(endpoint)
        added: list[EndpointSpec] = []
        for spec in wanted.values():
            known = self.endpoints.by_name.get(spec.name)
            if known is None:
                self.adapters.added(self.endpoints.add(spec).slot)
                added.append(spec)
            elif known.spec != spec:
                self.endpoints.update(known, spec)
        return Changes(tuple(added), removed)

    def _remove(self, endpoint: Endpoint) -> None:
        self.departed(endpoint.slot)
        self.adapters.removed(endpoint.slot)
        self.endpoints.remove(endpoint)

    def priority(self, objective: str, model: str = "") -> int:
        """The priority of a named objective, an unknown one the default; of `model` if none is named."""
        if objective:
            return self._priorities.get(objective, DEFAULT_PRIORITY)
        return self._model_priorities.get(model, DEFAULT_PRIORITY)

    def rewrite(self, model: str, rng: random.Random) -> tuple[Rewrite, str] | None:
        """The rewrite rule for `model` and the model that it draws; None: no rule applies."""
        return self._rewrites.choose(model, rng)

    # How loaded it is ------------------------------------------------------------------------------------

    def scraped(self, name: str, sample: LoadSample, expected_interval: float, now: float) -> None:
        """A look at the metrics page of an endpoint; ignored if it has left meanwhile."""
        endpoint = self.endpoints.by_name.get(name)
        if endpoint is not None:
            self.endpoints.told(endpoint, sample, now, expected_interval)
            self.adapters.told(endpoint.slot, sample.adapters, sample.max_lora)

    def answered(self, endpoint: Endpoint, sample: LoadSample, expected_interval: float, now: float) -> None:
        """An answer of an endpoint of the pool carried its load."""
        self.endpoints.told(endpoint, sample, now, expected_interval)

    def models_listed(self, name: str, base: frozenset[str], adapters: frozenset[str]) -> None:
        """The endpoint's list of models."""
        endpoint = self.endpoints.by_name.get(name)
        if endpoint is not None:
            endpoint.base_models = base
            self.adapters.listed(endpoint.slot, adapters)

    # Placing ---------------------------------------------------------------------------------------------

    def candidates(self, subset: frozenset[str] | None, now: float) -> Candidates:
        """The ready endpoints, of `subset` if the gateway gave one."""
        endpoints = self.endpoints
        if subset is not None:
            return Candidates(endpoints, endpoints.matching(subset), now)
        ready = endpoints.ready
        ready.now = now
        return ready

    def reserve(self, endpoint: Endpoint, tokens: int, model: str) -> Reservation:
        """Counts a request of `tokens` for `model` on the endpoint until it is released."""
        adapter = model if self.adapters.is_adapter(model) else ""
        return Reservation(self, endpoint, tokens, adapter)


def _same_server(old: EndpointSpec, new: EndpointSpec | None) -> bool:
    return new is not None and (old.address, old.engine) == (new.address, new.engine)
