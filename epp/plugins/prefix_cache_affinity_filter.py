"""prefix-cache-affinity-filter: requests stay where their prompt is cached until that costs too much time.

After llm-d's "sticky until saturated": a filter, so that the scorers behind it share the load among the
endpoints that hold the prompt, and let go where waiting there would take longer than to prefill anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from epp.config.constraints import Doc, Key, Positive, Range
from epp.datastore.endpoints import Candidates, Mask
from epp.plugin import Context
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.plugins.arrays import stays
from epp.types import InferenceRequest

# The golden ratio's fraction: its multiples, of which the whole part is dropped, are spread evenly over 0..1
# and follow no period that traffic could have.
_GOLDEN = 0.6180339887498949


@dataclass
class PrefixCacheAffinityFilter:
    """Keeps endpoints that hold most of the prompt, unless they would let it wait for too long.

    An endpoint holds it if at least `affinityThreshold` of the prompt is cached there. All endpoints stay
    where none does; for `explorationProbability` of the requests; and where the least time to the first
    token among those that hold it is more than `maxTTFTPenaltyMs` above the least among the others. That time
    is estimated as tokens in flight / `peakPrefillThroughput`. Requests that explore are counted off and not
    drawn. Defaults are llm-d's; in v1.5 of the reference, where the time comes from a latency predictor,
    `explorationProbability` is 0.01 and `maxTTFTPenaltyMs` 5000.
    """

    affinity_threshold: Annotated[
        float, Range(0, 1), Doc("part of the prompt that an endpoint has to hold to be kept")
    ] = 0.8
    exploration_probability: Annotated[
        float, Range(0, 1), Doc("part of the requests that may go anywhere, so that other caches fill, too")
    ] = 0.0
    max_ttft_penalty_ms: Annotated[
        float,
        Range(0, 1e9),
        Key("maxTTFTPenaltyMs"),
        Doc("milliseconds that it may take longer where the prompt is held; 0: any time"),
    ] = 18_000.0
    ttft_source: Annotated[
        Literal["prefillThroughput"], Doc("how the time to the first token is estimated")
    ] = "prefillThroughput"
    # llm-d's default: Qwen3-32B on two H100 with vLLM 0.19, by its own measurement.
    peak_prefill_throughput: Annotated[
        float, Positive(), Doc("tokens that an endpoint prefills in a second")
    ] = 15_928.0
    prefix_match_info_producer_name: Annotated[str, Doc("the producer to ask; unset: the first one")] = ""

    _producer: ApproxPrefixCacheProducer = field(
        init=False, repr=False, default_factory=ApproxPrefixCacheProducer
    )
    _turn: float = field(init=False, repr=False, default=0.0)

    def setup(self, context: Context) -> None:
        """See NeedsContext."""
        self._producer = context.shared(ApproxPrefixCacheProducer, self.prefix_match_info_producer_name)

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those that hold the prompt; None, which keeps all, where they are none or too busy."""
        if self.exploration_probability and self._explores():
            return None
        matched, size = self._producer.match(request, endpoints)
        if not size:
            return None
        holds = stays(matched >= self.affinity_threshold * size, or_all=True)
        return None if holds is None or self._costs_too_much(holds, endpoints) else holds

    def _explores(self) -> bool:
        self._turn = (self._turn + _GOLDEN) % 1.0
        return self._turn < self.exploration_probability

    def _costs_too_much(self, holds: Mask, endpoints: Candidates) -> bool:
        if not self.max_ttft_penalty_ms:
            return False
        tokens = endpoints.in_flight_tokens
        more = int(tokens[holds].min()) - int(tokens[~holds].min())
        return 1000.0 * more / self.peak_prefill_throughput > self.max_ttft_penalty_ms
