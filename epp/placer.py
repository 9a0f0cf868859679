"""From a request to its endpoint under one policy: the steps that the picker and `epp simulate` share."""

from __future__ import annotations

import random

import msgspec

from epp.admission.shedding import Admission
from epp.datastore.store import Datastore, Reservation
from epp.errors import NoEndpointError
from epp.scheduling.decision import Decision
from epp.scheduling.policy import Policy
from epp.types import InferenceRequest, Prompt

_FORGOTTEN = Prompt()


class Placer:
    """Decides by `policy` where requests go, and takes what they need there."""

    def __init__(self, store: Datastore, policy: Policy, rng: random.Random) -> None:
        self._store = store
        self._rng = rng
        self._scheduler = policy.scheduler
        self._admission = Admission(policy.detector)
        self._tokens = policy.load.tokens
        self._observers = policy.observers
        store.departed = policy.observers.left

    def decide(self, request: InferenceRequest, now: float) -> Decision:
        """Who may serve the request, whether it is admitted, and the choice. RequestError if it gets none."""
        candidates = self._store.candidates(request.subset, now)
        if not len(candidates):
            raise NoEndpointError("failed to find endpoint candidates for serving the request")
        self._admission.admit(request, candidates)
        return self._scheduler.run(request, candidates, self._rng)

    def take(self, request: InferenceRequest, decision: Decision) -> Reservation:
        """Tells the observers, forgets the prompt, and reserves what the request needs on its endpoint."""
        tokens = self._tokens(request.body)
        self._observers.placed(request, decision)
        # The request lives as long as the answer takes, and the prompt's views would hold the whole body.
        request.body = msgspec.structs.replace(request.body, prompt=_FORGOTTEN)
        # Last, because nobody would give it back if a step after it failed.
        return self._store.reserve(decision.picked[0], tokens, request.target_model)
