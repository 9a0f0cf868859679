"""The scheduler: runs the profiles that a request needs and makes one decision of their results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from epp.datastore.endpoints import Candidates
from epp.errors import NoEndpointError
from epp.plugin import UNWATCHED, Conclusion, ProfileHandler, Watcher
from epp.scheduling.decision import Decision
from epp.scheduling.profile import Profile
from epp.types import InferenceRequest

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class NamedHandler:
    """A profile handler as the configuration lists it."""

    name: str
    type: str
    plugin: ProfileHandler


class Scheduler:
    """Chooses endpoints. With no `handler` the first profile is the only one that runs."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        handler: NamedHandler | None = None,
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self.profiles = dict(profiles)
        self.handler = handler
        self._first = next(iter(self.profiles.values()))
        self._watcher = watcher

    def __repr__(self) -> str:
        return f"<Scheduler {' '.join(self.profiles)}>"

    def run(self, request: InferenceRequest, candidates: Candidates, rng: random.Random) -> Decision:
        """Chooses. Raises NoEndpointError if the request cannot be served."""
        if self.handler is None:
            return self._first.run(request, candidates, rng)
        done: dict[str, Decision | None] = {}
        try:
            conclusion = self._handle(self.handler.plugin, request, candidates, done, rng)
        except Exception as error:
            self._watcher.misbehaved(self.handler.type, self.handler.name, "raised", error)
            return self._first.run(request, candidates, rng)
        primary = done.get(conclusion.profile)
        if primary is None:
            raise NoEndpointError("no profile has an endpoint for the request")
        others = tuple(
            [each for name, each in done.items() if each is not None and name != conclusion.profile]
        )
        return msgspec.structs.replace(primary, headers=conclusion.headers, others=others)

    def _handle(
        self,
        handler: ProfileHandler,
        request: InferenceRequest,
        candidates: Candidates,
        done: dict[str, Decision | None],
        rng: random.Random,
    ) -> Conclusion:
        """Runs the profiles that the handler names; each once."""
        while wanted := [
            self.profiles[name]
            for name in handler.next_profiles(request, candidates, done)
            if name not in done
        ]:
            for profile in wanted:
                try:
                    done[profile.name] = profile.run(request, candidates, rng)
                except NoEndpointError:
                    done[profile.name] = None
        return handler.conclude(request, done)
