"""The oracle: a yardstick that sees what no picker can: true states of engines, and how long answers will be.

It sends a request where it costs all requests the least time, as far as can be said without the future:

    cost = seconds to its first token
         + _STALL * seconds that its prefill takes from those who decode there
         + _READ * seconds that reading context takes, of its own tokens and because of it of theirs

The first token is foreseen by going through the engine's own rules (`epp.simulate.forecast`). It is greedy:
it does not know what arrives next, so that it is a bound of what can be done now, and no proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

import numpy as np

from epp.datastore.endpoints import Candidates, Floats
from epp.sim.engine import Engine
from epp.sim.kvcache import chained_hashes
from epp.sim.sequence import Sequence
from epp.sim.tokens import TOKEN_BYTES
from epp.simulate.forecast import Forecast, Job
from epp.simulate.picker import BASE_MODEL
from epp.types import InferenceRequest

# What a second is worth that comes after the first token, in seconds before it. Tried from 0 to 0.4 on agents
# (20 a second) and shared prefixes (26) over four engines: these gave the largest share in the default SLO,
# and a p90 of TTFT within 20 % of the best.
_STALL = 0.1
_READ = 0.02


@dataclass(slots=True)
class _Ask:
    """A request as engines will see it; tokens."""

    prompt: int
    output: int
    adapter: str
    text: bytes
    _hashes: dict[int, list[int]] = field(default_factory=dict)

    def hashes(self, block_size: int) -> list[int]:
        if block_size not in self._hashes:
            self._hashes[block_size] = chained_hashes(self.text, block_size, salt=self.adapter)
        return self._hashes[block_size]


@dataclass(frozen=True, slots=True)
class _Found:
    """Tokens of a prompt that need not be computed, and those of them that cost no memory either."""

    cached: int
    held: int


@dataclass
class OracleScorer:
    """Prefers the endpoint where the request costs all requests the least time; for simulations alone."""

    _engines: Mapping[str, Engine] = field(init=False, repr=False, default_factory=dict)
    # Of the requests sent to each engine, by their ids, as long as they wait there.
    _sent: dict[str, dict[str, _Found]] = field(init=False, repr=False, default_factory=dict)

    def see(self, engines: Mapping[str, Engine]) -> None:
        """Takes the engines by the names of their endpoints."""
        self._engines = engines
        self._sent = {name: {} for name in engines}

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """1 / (1 + cost in seconds)."""
        text = b"".join(request.body.prompt.parts)
        adapter = "" if request.target_model == BASE_MODEL else request.target_model
        ask = _Ask(len(text) // TOKEN_BYTES, request.body.max_tokens or 1, adapter, text)
        names = [endpoints.at(index).spec.name for index in range(len(endpoints))]
        found = [self._find(name, ask, endpoints.now) for name in names]
        costs = np.array([self._cost(*each, ask, endpoints.now) for each in zip(names, found, strict=True)])
        best = int(costs.argmin())
        self._sent[names[best]][request.id] = found[best]
        scores: Floats = 1 / (1 + costs)
        return scores

    def _find(self, name: str, ask: _Ask, now: float) -> _Found:
        """What is cached, or will be because somebody who comes first computes it."""
        engine = self._engines[name]
        engine.catch_up(now)
        block_size = engine.config.block_size
        hashes = ask.hashes(block_size)
        limit = (ask.prompt - 1) // block_size
        others = [*engine.queue, *(each for each in engine.batch if not each.produced)]
        cached = engine.pool.match(hashes, limit)
        cached = max([cached, *(_common(hashes, each.request.block_hashes, limit) for each in others)])
        return _Found(cached * block_size, engine.pool.held(hashes, cached) * block_size)

    def _cost(self, name: str, found: _Found, ask: _Ask, now: float) -> float:
        engine = self._engines[name]
        job = Job(ask.prompt - found.cached, found.cached, ask.output, found.held, ask.adapter)
        queue = self._queue(name)
        model = engine.config.step_time
        others = [(each.length, _to_come(each)) for each in engine.batch]
        others += [(each.left + each.context, each.output) for each in queue]
        prefill = model.prefill_seconds(job.left, job.context) + model.token_seconds * job.left
        read = model.decode_seconds(1) - model.decode_seconds(0)
        mine = ask.output * sum(context for context, _ in others)
        theirs = ask.prompt * sum(min(output, ask.output) for _, output in others)
        later = _STALL * prefill * engine.running + _READ * read * (mine + theirs)
        # Last, as the forecast brings the jobs to their ends.
        return later + Forecast(engine, [*queue, job], now).first_token(job)

    def _queue(self, name: str) -> list[Job]:
        sent = self._sent[name]
        waiting = [(each, sent.get(each.request.id) or _again(each)) for each in self._engines[name].queue]
        self._sent[name] = {sequence.request.id: found for sequence, found in waiting}
        return [_waiting(sequence, found) for sequence, found in waiting]


def _again(sequence: Sequence) -> _Found:
    """Of one that was preempted: what it had shared is most likely still there."""
    return _Found(sequence.cached_tokens, 0)


def _waiting(sequence: Sequence, found: _Found) -> Job:
    cached = min(found.cached, sequence.length - 1)
    request = sequence.request
    return Job(sequence.length - cached, cached, _to_come(sequence), found.held, request.adapter)


def _to_come(sequence: Sequence) -> int:
    return sequence.request.output_tokens - sequence.produced


def _common(one: list[int], other: Seq[int], limit: int) -> int:
    """How many leading blocks are the same: a hash says that all before it are."""
    low, high = 0, min(limit, len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[middle - 1] == other[middle - 1]:
            low = middle
        else:
            high = middle - 1
    return low
