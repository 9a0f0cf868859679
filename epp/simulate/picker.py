"""The picker in virtual time: the objects that serve, without the streams around them.

Requests come parsed. What the director does with one is done here by the same placer, policy, datastore and
cadence; what an answer tells, it tells here.
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from epp.config.picker_config import PickerConfig
from epp.config.settings import ServeSettings
from epp.datastore.endpoints import Endpoint
from epp.datastore.store import Datastore, Reservation
from epp.placer import Placer
from epp.plugin import Misbehaviour, Response, Watcher
from epp.scheduling.build import build_policy
from epp.scrape.cadence import Cadence
from epp.sim.tokens import TOKEN_BYTES
from epp.simulate.workload import Arrival
from epp.types import (
    Api,
    ControlHeaders,
    EndpointSpec,
    InferenceRequest,
    LoadSample,
    ParsedBody,
    PoolSpec,
    Prompt,
    Snapshot,
    Usage,
)
from epp.wire.messages import NO_METADATA

BASE_MODEL = "base"

_SERVE = ServeSettings()
_PATH = "/v1/completions"


@dataclass(slots=True)
class Placed:
    """A request on its endpoint, until its answer is complete."""

    request: InferenceRequest
    reservation: Reservation

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return self.reservation.endpoint


class VirtualPicker:
    """One pool of endpoints `names` under one policy. Times are virtual seconds."""

    def __init__(
        self,
        config: PickerConfig,
        names: Sequence[str],
        adapters: frozenset[str],
        rng: random.Random,
        scrape_interval: float = _SERVE.refresh_metrics_interval,
    ) -> None:
        self.misbehaved: Counter[str] = Counter()  # what plugins did wrong, and how often
        self.store = Datastore()
        # The addresses are never connected to; scheduling tells endpoints apart by them.
        specs = tuple(EndpointSpec(name, "10.0.0.1", 8000 + n) for n, name in enumerate(names))
        self.store.apply(Snapshot(PoolSpec("simulated"), specs))
        self.policy = build_policy(
            config, self.store, _SERVE.metrics_staleness_threshold, Watcher(misbehaved=self._misbehaved)
        )
        self.tells_lengths = False  # whether requests say how long their answers will be: to the oracle alone
        self._placer = Placer(self.store, self.policy, rng)
        self.cadence = Cadence(scrape_interval, rng)
        for name in names:
            self.cadence.add(name, 0.0)
            self.store.models_listed(name, frozenset({BASE_MODEL}), adapters)

    def _misbehaved(self, plugin_type: str, name: str, how: Misbehaviour, error: Exception | None) -> None:
        told = ""
        if error is not None:
            *_, frame = traceback.extract_tb(error.__traceback__)
            told = f": {type(error).__name__} at {frame.filename}:{frame.lineno}"
        self.misbehaved[f"plugin {name} of type {plugin_type} misbehaves ({how}) and is left out{told}"] += 1

    def requested(self, now: float) -> bool:
        """A request came. True if that woke an idle pool: pages are due sooner than they were."""
        return self.cadence.requested(now)

    def place(self, arrival: Arrival, name: str, prompt: bytes, now: float) -> Placed:
        """Finds the request called `name` an endpoint and reserves it. RequestError if it gets none."""
        tokens = len(prompt) // TOKEN_BYTES
        model = arrival.adapter or BASE_MODEL
        body = ParsedBody(
            Api.COMPLETIONS,
            model,
            stream=True,
            max_tokens=arrival.output_tokens if self.tells_lengths else None,
            prompt=Prompt((memoryview(prompt),), tokens),
        )
        request = InferenceRequest(
            name,
            _PATH,
            {},
            body,
            ControlHeaders(request_id=name),
            model,
            priority=arrival.priority,
            size=len(prompt),
            received_at=now,
        )
        decision = self._placer.decide(request, now)
        return Placed(request, self._placer.take(request, decision))

    def answer_begins(self, placed: Placed, load: LoadSample, now: float) -> None:
        """The headers of an answer came, and carried the endpoint's load."""
        endpoint = placed.endpoint
        self.store.answered(endpoint, load, self.cadence.answered(endpoint.spec.name, now), now)
        if self.policy.observers.see_responses:
            self.policy.observers.responded(placed.request, Response(endpoint, {}, NO_METADATA))

    def first_token(self, placed: Placed, now: float) -> None:
        """The first piece of an answer's stream came."""
        if self.policy.observers.see_first_tokens:
            self.policy.observers.first_token(placed.request, placed.endpoint, now)

    def give_back(self, placed: Placed, now: float) -> None:
        """A request is over, however it ended."""
        placed.reservation.release()
        if self.policy.observers.see_ends:
            self.policy.observers.ended(placed.request, placed.endpoint, now)

    def answer_ended(self, placed: Placed, usage: Usage, now: float) -> None:
        """An answer is complete: gives back what the request held."""
        self.give_back(placed, now)
        if self.policy.observers.see_usage:
            self.policy.observers.used(placed.request, usage)

    def page_came(self, name: str, load: LoadSample, now: float) -> None:
        """The metrics page of an endpoint came."""
        self.store.scraped(name, load, self.cadence.succeeded(name, now), now)
