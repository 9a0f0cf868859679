"""no-hit-lru-scorer: prompts that nobody holds go to who was sent such a prompt longest ago.

They fill KV caches with new blocks; taken in turns, they fill all alike. Formula: llm-d's.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from epp.config.constraints import Doc, Range
from epp.datastore.endpoints import Candidates, Endpoint, Floats
from epp.plugin import Context
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.types import InferenceRequest

# llm-d's: where somebody holds a part of the prompt this scorer has no say.
_NEUTRAL = 0.5


@dataclass
class NoHitLruScorer:
    """Prefers, for prompts that no candidate holds a part of, who was sent such a prompt longest ago.

    1 - rank / (n - 1): first those that were sent none yet, then the others from the oldest to the latest;
    1 for an only candidate. Where a candidate holds a part of the prompt: 0.5 for all. Ranks are those among
    the candidates, where llm-d counts endpoints that are no candidates too.
    """

    lru_size: Annotated[int, Range(1, 1 << 20), Doc("endpoints that are remembered")] = 1024
    prefix_match_info_producer_name: Annotated[str, Doc("the producer to ask; unset: the first one")] = ""

    _producer: ApproxPrefixCacheProducer = field(
        init=False, repr=False, default_factory=ApproxPrefixCacheProducer
    )
    _sent: OrderedDict[int, int] = field(init=False, repr=False, default_factory=OrderedDict)  # slot -> turn
    _turn: int = field(init=False, repr=False, default=0)
    _cold: InferenceRequest | None = field(init=False, repr=False, default=None)  # between score and placed

    def setup(self, context: Context) -> None:
        """See NeedsContext."""
        self._producer = context.shared(ApproxPrefixCacheProducer, self.prefix_match_info_producer_name)

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """0 to 1 for a prompt that nobody holds."""
        self._cold = None
        if np.count_nonzero(self._producer.match(request, endpoints).matched):
            return _NEUTRAL
        self._cold = request
        count = len(endpoints)
        if count < 2:
            return 1.0
        turns = np.array([self._sent.get(slot, 0) for slot in endpoints.slots.tolist()])
        scores = np.empty(count)
        scores[turns.argsort(kind="stable")] = np.linspace(1.0, 0.0, count)
        return scores

    def placed(self, request: InferenceRequest, endpoint: Endpoint, profile: str) -> None:
        """A prompt that nobody held went to the endpoint."""
        if self._cold is not request:
            return
        self._turn += 1
        self._sent[endpoint.slot] = self._turn
        self._sent.move_to_end(endpoint.slot)
        if len(self._sent) > self.lru_size:
            self._sent.popitem(last=False)

    def left(self, slot: int) -> None:
        """The slot may soon be another's."""
        self._sent.pop(slot, None)
