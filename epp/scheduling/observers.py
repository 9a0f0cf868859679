"""The plugins that are told what becomes of requests; one that misbehaves harms nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from epp.datastore.endpoints import Endpoint
from epp.plugin import (
    UNWATCHED,
    DepartureObserver,
    EndObserver,
    FirstTokenObserver,
    PlacementObserver,
    Response,
    ResponseObserver,
    UsageObserver,
    Watcher,
)
from epp.scheduling.decision import Decision
from epp.types import InferenceRequest, Usage
from epp.wire.messages import HeaderList, MetadataMap


class NamedPlugin(NamedTuple):
    """A plugin as the configuration lists it."""

    name: str
    type: str
    plugin: object


class Observers:
    """Who is told of the requests that one policy places."""

    def __init__(self, plugins: Sequence[NamedPlugin], watcher: Watcher = UNWATCHED) -> None:
        self._placements = [
            (each, each.plugin.placed) for each in plugins if isinstance(each.plugin, PlacementObserver)
        ]
        self._responses = [
            (each, each.plugin.responded) for each in plugins if isinstance(each.plugin, ResponseObserver)
        ]
        self._usages = [
            (each, each.plugin.used) for each in plugins if isinstance(each.plugin, UsageObserver)
        ]
        self._first_tokens = [
            (each, each.plugin.first_token) for each in plugins if isinstance(each.plugin, FirstTokenObserver)
        ]
        self._ends = [(each, each.plugin.ended) for each in plugins if isinstance(each.plugin, EndObserver)]
        self._departures = [
            (each, each.plugin.left) for each in plugins if isinstance(each.plugin, DepartureObserver)
        ]
        self._watcher = watcher
        # Known beforehand, so that where nobody looks nothing is prepared to be looked at.
        self.see_responses = bool(self._responses)
        self.see_usage = bool(self._usages)
        self.see_first_tokens = bool(self._first_tokens)
        self.see_ends = bool(self._ends)

    def __repr__(self) -> str:
        return f"<Observers {len(self._placements)} of placements, {len(self._responses)} of responses>"

    def placed(self, request: InferenceRequest, decision: Decision) -> None:
        """The request goes where `decision` says; the primary profile is told of first."""
        for each in (decision, *decision.others):
            for observer, tell in self._placements:
                try:
                    tell(request, each.picked[0], each.profile)
                except Exception as error:
                    self._misbehaved(observer, error)

    def responded(self, request: InferenceRequest, response: Response) -> HeaderList:
        """An answer begins; the headers that they set on it."""
        headers: HeaderList = ()
        for observer, ask in self._responses:
            try:
                headers += tuple(ask(request, response))
            except Exception as error:
                self._misbehaved(observer, error)
        return headers

    def used(self, request: InferenceRequest, usage: Usage) -> MetadataMap:
        """An answer is complete; the dynamic metadata that they send."""
        metadata: dict[str, dict[str, object]] = {}
        for observer, ask in self._usages:
            try:
                for namespace, values in ask(request, usage).items():
                    metadata.setdefault(namespace, {}).update(values)
            except Exception as error:
                self._misbehaved(observer, error)
        return metadata

    def first_token(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        """A streamed answer begins."""
        for observer, tell in self._first_tokens:
            try:
                tell(request, endpoint, now)
            except Exception as error:
                self._misbehaved(observer, error)

    def ended(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        """A request is over."""
        for observer, tell in self._ends:
            try:
                tell(request, endpoint, now)
            except Exception as error:
                self._misbehaved(observer, error)

    def left(self, slot: int) -> None:
        """The endpoint at `slot` left the pool."""
        for observer, tell in self._departures:
            try:
                tell(slot)
            except Exception as error:
                self._misbehaved(observer, error)

    def _misbehaved(self, observer: NamedPlugin, error: Exception) -> None:
        self._watcher.misbehaved(observer.type, observer.name, "raised", error)
