"""lora-affinity-scorer: an endpoint that has the request's adapter at hand scores best.

The reference's steps (1, 0.8, 0.6, 0) over the picker's own book instead of the engine's metrics, which list
neither loaded nor queued adapters (see epp.datastore.adapters).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from epp.datastore.adapters import Adapters, Shelf
from epp.datastore.endpoints import Candidates, Floats, Slots
from epp.plugin import Context
from epp.types import InferenceRequest

AT_HAND = 1.0  # in one of the engine's slots, or in flight
FREE_SLOT = 0.8  # a load, and nothing is pushed out
IDLE_SLOT = 0.6  # a load that pushes out an adapter without requests
NO_SLOT = 0.0  # every slot is busy, so the request has to wait
NOT_SERVED = -1.0  # the endpoint does not list the adapter; scores as little as one without a slot


@dataclass
class LoraAffinityScorer:
    """Prefers the endpoint that has the request's adapter at hand, then one with a slot for it.

    The base model, and models unknown as adapters, suit all alike.
    """

    _adapters: Adapters = field(init=False, repr=False, default_factory=Adapters)

    def setup(self, context: Context) -> None:
        """See NeedsContext."""
        self._adapters = context.store.adapters

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """One of the steps for each candidate."""
        steps = adapter_steps(self._adapters, request.target_model, endpoints.slots)
        return 1.0 if steps is None else np.maximum(steps, 0.0)


def adapter_steps(adapters: Adapters, model: str, slots: Slots) -> Floats | None:
    """The step of each endpoint at `slots` for a request for `model`; None if that is no adapter."""
    if not adapters.is_adapter(model):
        return None
    shelves = adapters.shelves
    return np.array([_step(shelves[slot], model) for slot in slots.tolist()])


def _step(shelf: Shelf, adapter: str) -> float:
    recent, in_flight, told = shelf.recent, shelf.in_flight, shelf.told
    if adapter in recent or adapter in in_flight or adapter in told:
        return AT_HAND
    if shelf.listed is not None and adapter not in shelf.listed:
        return NOT_SERVED
    # Together they are as many, or fewer where one of them is in several: often that is enough to know.
    if len(recent) + len(in_flight) + len(told) < shelf.slots:
        return FREE_SLOT
    busy = shelf.busy()
    if len(busy | recent.keys()) < shelf.slots:
        return FREE_SLOT
    return IDLE_SLOT if len(busy) < shelf.slots else NO_SLOT
