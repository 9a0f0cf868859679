"""prefix-cache-scorer: the endpoint that holds the longest part of the prompt in its KV cache scores best."""

from __future__ import annotations

import numpy as np

from epp.datastore.endpoints import Candidates, Endpoint, Floats
from epp.datastore.prefix import Chain, hash_prompt
from epp.datastore.store import Datastore
from epp.plugin import UNWATCHED, Watcher
from epp.types import InferenceRequest


class PrefixCacheScorer:
    """Scores by the picker's own index of what was sent where, and adds to it what is placed."""

    def __init__(self, store: Datastore, watcher: Watcher = UNWATCHED) -> None:
        self._store = store
        self._watcher = watcher
        # The chain of the request being scheduled; between `score` and `placed` no other request comes.
        self._latest: tuple[InferenceRequest, Chain] | None = None

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """The part of the prompt's bytes that each candidate holds; 0 without a prompt."""
        chain = self._chain(request)
        if not chain.size:
            return np.zeros(len(endpoints))
        return self._store.prefixes.match(chain, endpoints.slots) / chain.size

    def placed(self, request: InferenceRequest, endpoint: Endpoint) -> None:
        """The endpoint will hold this prompt."""
        chain = self._chain(request)
        self._latest = None
        if not chain.size:
            return
        slot, prefixes = endpoint.slot, self._store.prefixes
        self._watcher.prefix_matched(prefixes.held(chain, slot), chain.size)
        prefixes.record(slot, chain, float(self._store.endpoints.cache_tokens[slot]))

    def _chain(self, request: InferenceRequest) -> Chain:
        if self._latest is None or self._latest[0] is not request:
            self._latest = (request, hash_prompt(request.body.prompt, request.target_model))
        return self._latest[1]
