"""prefix-cache-scorer: the endpoint that holds the longest part of the prompt in its KV cache scores best."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated

import numpy as np

from epp.config.constraints import Doc, Range
from epp.datastore.blocks import BYTES_PER_TOKEN
from epp.datastore.endpoints import Candidates, Floats
from epp.plugin import Context
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer, PrefixParameters
from epp.types import InferenceRequest


@dataclass
class PrefixCacheScorer(PrefixParameters):
    """Prefers the endpoint that holds the longest part of the prompt in its KV cache.

    The parameters of approx-prefix-cache-producer count where the configuration lists no such producer.
    """

    hash_block_size: Annotated[
        int | None, Range(1, 1 << 20), Doc("characters in a block, all of one size (the name in v1.0.1)")
    ] = None
    match_length_weight: Annotated[
        float, Range(0, 1), Doc("weight of the match's length beside its part of the prompt")
    ] = 0.0
    match_length_scale_tokens: Annotated[
        int, Range(1, 1 << 30), Doc("tokens of a match at which its length scores 1")
    ] = 8192
    prefix_match_info_producer_name: Annotated[str, Doc("the producer to ask; unset: the first one")] = ""
    _producer: ApproxPrefixCacheProducer = field(
        init=False, repr=False, default_factory=ApproxPrefixCacheProducer
    )

    def setup(self, context: Context) -> None:
        """See NeedsContext."""
        self._producer = context.shared(
            ApproxPrefixCacheProducer, self.prefix_match_info_producer_name, self._own_producer
        )

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """The part of the prompt's bytes that each candidate holds, 0 without a prompt.

        With `match_length_weight` w: w * min(1, tokens / scale)^2 + (1 - w) * part.
        """
        matched, size = self._producer.match(request, endpoints)
        if not size:
            return 0.0
        part = matched / size
        weight = self.match_length_weight
        if not weight:
            return part
        length = np.minimum(matched / (self.match_length_scale_tokens * BYTES_PER_TOKEN), 1.0)
        scores: Floats = weight * length * length + (1.0 - weight) * part
        return scores

    def _own_producer(self) -> ApproxPrefixCacheProducer:
        own = {each.name: getattr(self, each.name) for each in fields(PrefixParameters)}
        if self.hash_block_size is not None and self.block_size_tokens is None:
            own["block_size_tokens"] = max(1, self.hash_block_size // BYTES_PER_TOKEN)
        return ApproxPrefixCacheProducer(**own)
