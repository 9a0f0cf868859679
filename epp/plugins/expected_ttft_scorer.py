"""expected-ttft-scorer: the endpoint that is expected to begin its answer soonest scores best.

Where a weighted sum adds up queue, cache and adapters in units of their own, this asks of each endpoint one
question, in seconds: when would the first token come? What it needs for that it learns from the answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import numpy as np

from epp.config.constraints import Doc, Range
from epp.datastore.adapters import Adapters
from epp.datastore.endpoints import Candidates, Endpoint, Floats, Slots
from epp.datastore.store import Datastore
from epp.forecast.backlog import Backlogs, Work
from epp.forecast.mean import FadingMean
from epp.forecast.prefill import PrefillSpeed, pairs_of
from epp.plugin import Context, Terms
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.plugins.lora_affinity_scorer import AT_HAND, FREE_SLOT, IDLE_SLOT, NO_SLOT, NOT_SERVED, adapter_steps
from epp.types import InferenceRequest, Usage
from epp.wire.messages import NO_METADATA, MetadataMap

# Believed until answers have told better, seconds: a load from a local disk; half of an answer, until one
# of the adapters in an engine's slots has no request left; a short answer; a prompt of 1,000 tokens.
_FIRST_LOAD_SECONDS = 0.1
_FIRST_SLOT_SECONDS = 1.0
_FIRST_ANSWER_SECONDS = 2.0
_FIRST_PREFILL_SECONDS = 0.1

# An endpoint that does not list the adapter comes last. It is not ruled out: vLLM lists an adapter that it
# finds by itself only when it has been asked for.
_NOT_SERVED_SECONDS = 3600.0

# Answers that those are remembered for.
_MEMORY = 100.0

# Costs up to this many times the least are as good: no forecast is better than that, and equals take turns.
_AS_GOOD = 1.05

# Costs are at least this, seconds, so that they have a ratio.
_LEAST_SECONDS = 1e-3


class _Forecast(NamedTuple):
    """Of one request at each candidate: what it has to compute, and what its cost in seconds is made of."""

    now: float
    slots: Slots
    cached: Floats  # tokens
    tokens: Floats  # that are not
    queue: Floats
    prefill: Floats
    adapter: Floats
    steps: Floats | None  # of lora-affinity-scorer; None: no adapter is asked for
    memory: Floats
    squeeze: Floats
    in_flight: Floats
    disturbance_weight: float
    crowd: float  # for each request in flight

    @property
    def cost(self) -> Floats:
        first_token = self.queue + self.prefill + self.adapter + self.memory
        return (
            first_token
            + self.in_flight * (self.disturbance_weight * self.prefill + self.crowd)
            + self.squeeze
        )

    def terms(self) -> Mapping[str, Floats]:
        return {
            "uncached tokens": self.tokens,
            "queue s": self.queue,
            "prefill s": self.prefill,
            "adapter s": self.adapter,
            "memory s": self.memory,
            "disturbance s": self.in_flight * self.disturbance_weight * self.prefill,
            "crowd s": self.in_flight * self.crowd,
            "squeeze s": self.squeeze,
        }


@dataclass
class ExpectedTtftScorer:
    """Prefers the endpoint that is expected to begin its answer soonest, and to be disturbed least by it.

    The score is the least cost of all candidates / the endpoint's cost. The cost is in seconds: the work
    queued there, the prefill of what the endpoint does not have cached, and the wait for the adapter and
    for room in the KV cache make the expected time to the first token. Three more terms stand for what the
    request does to others: `disturbanceWeight` of the time for which its prefill holds up each answer in
    flight there; `crowdWeight` of an answer's usual duration for an endpoint with as many requests as the
    mean; and, where the cache is full, the time for which the requests that wait there lack what it takes.
    Speeds, of the pool and of each endpoint, are learned from the moments at which answers begin, or end if
    they come as a whole.
    """

    disturbance_weight: Annotated[
        float, Range(0, 100), Doc("cost of a second for which an answer in flight is held up")
    ] = 0.1
    crowd_weight: Annotated[
        float,
        Range(0, 100),
        Doc("part of an answer's duration that a mean number of requests in flight costs"),
    ] = 0.025
    prefix_match_info_producer_name: Annotated[str, Doc("the producer to ask; unset: the first one")] = ""

    _producer: ApproxPrefixCacheProducer = field(
        init=False, repr=False, default_factory=ApproxPrefixCacheProducer
    )
    _store: Datastore = field(init=False, repr=False, default_factory=Datastore)
    _adapters: Adapters = field(init=False, repr=False, default_factory=Adapters)
    _speed: PrefillSpeed = field(init=False, repr=False, default_factory=PrefillSpeed)
    _backlogs: Backlogs = field(init=False, repr=False, default_factory=Backlogs)
    _load_seconds: FadingMean = field(
        init=False, repr=False, default_factory=lambda: FadingMean(_FIRST_LOAD_SECONDS, _MEMORY)
    )
    _slot_seconds: FadingMean = field(
        init=False, repr=False, default_factory=lambda: FadingMean(_FIRST_SLOT_SECONDS, _MEMORY)
    )
    _answer_seconds: FadingMean = field(
        init=False, repr=False, default_factory=lambda: FadingMean(_FIRST_ANSWER_SECONDS, _MEMORY)
    )
    _prefill_seconds: FadingMean = field(
        init=False, repr=False, default_factory=lambda: FadingMean(_FIRST_PREFILL_SECONDS, _MEMORY)
    )
    _begun_at: dict[int, float] = field(init=False, repr=False, default_factory=dict)
    # Of the request that is being placed. What decisions keep of it, its terms, does not hold the request.
    _latest: tuple[InferenceRequest, _Forecast] | None = field(init=False, repr=False, default=None)
    # The request that has just ended, its work and when, if its answer came as a whole.
    _whole: tuple[InferenceRequest, Work, float] | None = field(init=False, repr=False, default=None)

    def setup(self, context: Context) -> None:
        """See NeedsContext."""
        self._producer = context.shared(ApproxPrefixCacheProducer, self.prefix_match_info_producer_name)
        self._store = context.store
        self._adapters = context.store.adapters

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """1 for the least cost and those as good, about 0.5 for twice as much."""
        if not len(endpoints):
            return np.zeros(0)
        forecast = self._forecast(request, endpoints)
        self._latest = (request, forecast)
        cost = np.maximum(forecast.cost, _LEAST_SECONDS)
        scores: Floats = (_AS_GOOD * float(np.minimum.reduce(cost))) / cost
        return np.minimum(scores, 1.0)

    @property
    def terms(self) -> Terms:
        """See Explained."""
        return dict if self._latest is None else self._latest[1].terms

    def placed(self, request: InferenceRequest, endpoint: Endpoint, profile: str) -> None:
        """See PlacementObserver. What was foreseen of the endpoint is its work from now on."""
        asked, self._latest = self._latest, None
        if asked is None or asked[0] is not request:
            return
        latest = asked[1]
        index = int(latest.slots.searchsorted(endpoint.slot))
        if index == len(latest.slots) or latest.slots[index] != endpoint.slot:
            return  # of another profile
        prefill, tokens = latest.prefill.item(index), latest.tokens.item(index)
        if not tokens:
            return  # nothing to prefill
        self._prefill_seconds.add(prefill)
        self._backlogs.add(
            id(request),
            Work(
                endpoint.slot,
                tokens,
                pairs_of(tokens, latest.cached.item(index)),
                prefill,
                latest.now,
                request.body.stream,
                adapter_seconds=latest.adapter.item(index),
                adapter_delay=self._adapter_delay(latest.steps, index),
            ),
        )

    def first_token(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        """See FirstTokenObserver."""
        work = self._backlogs.begun(id(request), now)
        if work is not None and work.slot == endpoint.slot:
            self._begun_at[id(request)] = now
            self._learn(work, now)

    def ended(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        """See EndObserver."""
        work = self._backlogs.done(id(request), now)
        begun_at = self._begun_at.pop(id(request), None)
        self._whole = None
        if begun_at is not None:
            self._answer_seconds.add(now - begun_at)
        elif work is not None and not work.streams and work.slot == endpoint.slot:
            self._whole = (request, work, now)

    def used(self, request: InferenceRequest, usage: Usage) -> MetadataMap:
        """See UsageObserver. Follows `ended`: an answer that was not streamed is complete."""
        whole, self._whole = self._whole, None
        if whole is not None and whole[0] is request and usage.completion_tokens:
            _, work, now = whole
            expected = self._speed.expected(work.slot, work.tokens_ahead, work.pairs_ahead, now)
            self._answer_seconds.add(max(now - work.placed_at - expected, 0.0))
            self._learn(work, now, usage.completion_tokens)
        return NO_METADATA

    def left(self, slot: int) -> None:
        """See DepartureObserver."""
        self._backlogs.left(slot)
        self._speed.left(slot)

    def _forecast(self, request: InferenceRequest, endpoints: Candidates) -> _Forecast:
        slots, now = endpoints.slots, endpoints.now
        self._backlogs.make_room(len(endpoints.roster))
        self._speed.make_room(len(endpoints.roster))
        prompt = float(request.body.prompt.tokens)
        matched, size = self._producer.match(request, endpoints)
        cached = matched * (prompt / size if size else 0.0)
        # The last token is always computed; a request without a prompt, such as GET /v1/models, has none.
        tokens = np.maximum(prompt - cached, min(prompt, 1.0))
        in_flight = endpoints.in_flight.astype(np.float64)
        mean = max(float(np.add.reduce(in_flight)) / len(in_flight), 1.0)
        steps = adapter_steps(self._adapters, request.target_model, slots)
        memory, squeeze = self._memory(endpoints, tokens)
        return _Forecast(
            now,
            slots,
            cached,
            tokens,
            self._queue(endpoints),
            self._speed.seconds(slots, tokens, cached, now) if prompt else np.zeros(len(slots)),
            np.zeros(len(slots)) if steps is None else self._adapter_seconds(steps),
            steps,
            memory,
            squeeze,
            in_flight,
            self.disturbance_weight,
            self.crowd_weight * self._answer_seconds.value / mean,
        )

    def _queue(self, endpoints: Candidates) -> Floats:
        """Seconds for what waits there: ours, and what others sent; where nobody tells, the most of all."""
        seconds = self._backlogs.seconds(endpoints.slots, endpoints.now)
        waiting = endpoints.waiting
        total = float(np.add.reduce(waiting))
        if not total:
            return seconds
        if math.isnan(total):
            waiting = np.where(np.isnan(waiting), np.fmax.reduce(waiting, initial=0.0), waiting)
        others = np.maximum(waiting - self._backlogs.pending(endpoints.slots), 0.0)
        return seconds + self._prefill_seconds.value * others

    def _memory(self, endpoints: Candidates, tokens: Floats) -> tuple[Floats, Floats]:
        """Seconds until the KV cache has room for `tokens`, and what others there wait longer for want of it.

        A cache is given back once in an answer's usual duration. Where its size or use is not known nothing
        is foreseen.
        """
        slots = endpoints.slots
        capacity = self._store.endpoints.cache_tokens[slots]
        held = endpoints.kv_usage * capacity
        short = self._backlogs.tokens(slots) + tokens - (capacity - held)
        full = short > 0.0
        if not full.any():
            return np.zeros(len(slots)), np.zeros(len(slots))
        a_token = self._answer_seconds.value / capacity
        memory = np.where(full, a_token * np.minimum(short, capacity), 0.0)
        squeeze = np.where(full, a_token * tokens * self._backlogs.pending(slots), 0.0)
        return memory, squeeze

    def _learn(self, work: Work, now: float, output: int = 0) -> None:
        seconds = now - work.placed_at
        if work.adapter_delay is None:
            self._speed.learn(work.slot, work.tokens_ahead, work.pairs_ahead, seconds, now, output)
        elif not output:
            expected = self._speed.expected(work.slot, work.tokens_ahead, work.pairs_ahead, now)
            work.adapter_delay.add(max(seconds - expected, 0.0))

    def _adapter_delay(self, steps: Floats | None, index: int) -> FadingMean | None:
        if steps is None or steps[index] >= AT_HAND:
            return None
        return self._load_seconds if steps[index] > NO_SLOT else self._slot_seconds

    def _adapter_seconds(self, steps: Floats) -> Floats:
        load, slot = self._load_seconds.value, self._slot_seconds.value
        seconds = {
            AT_HAND: 0.0,
            FREE_SLOT: load,
            IDLE_SLOT: load,
            NO_SLOT: slot,
            NOT_SERVED: slot + _NOT_SERVED_SECONDS,
        }
        return np.array([seconds[step] for step in steps.tolist()])
