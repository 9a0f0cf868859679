"""The event loop in virtual time: arrivals, answers that begin, and steps of engines where something happens.

The events of one moment come in this order: arrivals, so that requests that come together share a first step;
what the picker is told; steps. Nothing reads a clock, and all chance comes from the seed, so that equal input
gives equal output.

Engines leap over steps that only decode, and pages that nobody would see are not made
(`epp.simulate.scraping`), so before anybody looks at an engine, it is brought up to date. The load that rides
on an answer is that of the engine before the request, as with vLLM, which sends the headers before the first
token.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf, nextafter
from typing import Any, NamedTuple, Protocol

from epp.errors import RequestError
from epp.sim.engine import EngineConfig, EngineCounters, StepResult
from epp.sim.kvcache import chained_hashes
from epp.sim.sequence import Sequence, SimRequest
from epp.simulate.ideal import IdealCache
from epp.simulate.picker import Placed, VirtualPicker
from epp.simulate.scraping import Scraping
from epp.simulate.timeline import Look, Timeline
from epp.simulate.workload import Arrival, Piece, text
from epp.types import LoadSample, Usage

# Seconds from an engine's state to the picker: a page costs a vLLM server 8 to 20 ms (epp.scrape.cadence).
LAG = 0.01

# Events between two reports of progress: a few a second.
_PROGRESS_EVENTS = 1000


class Server(Protocol):
    """What the loop needs of an engine: see `epp.sim.engine.Engine`."""

    config: EngineConfig
    counters: EngineCounters

    @property
    def waiting(self) -> int:
        """Requests queued."""

    @property
    def running(self) -> int:
        """Requests in the batch."""

    @property
    def kv_usage(self) -> float:
        """0..1 of the KV blocks."""

    @property
    def active_adapters(self) -> tuple[str, ...]:
        """Adapters with requests that have output."""

    @property
    def due(self) -> float | None:
        """When to call `step` next; None: idle."""

    def submit(self, request: SimRequest, now: float) -> Sequence:
        """Queues a request; ValueError if it could never run. `due` may be sooner than it was."""

    def step(self, now: float) -> StepResult:
        """Ends the step under way and begins the next."""

    def leap(self) -> float | None:
        """After `step`: puts `due` off for as long as only tokens are decoded. Returns it."""

    def catch_up(self, now: float) -> None:
        """Brings a leap up to `now`."""


class Done(NamedTuple):
    """A request with its whole answer: times, and no prompt, of which a run has gigabytes."""

    server: str
    arrived_at: float
    first_token_at: float
    last_token_at: float
    output_tokens: int
    cached_tokens: int  # of the prompt
    prompt_tokens: int
    priority: int


@dataclass(slots=True)
class Outcome:
    """What became of all requests. Times in virtual seconds."""

    done: list[Done] = field(default_factory=list)
    refused: list[Arrival] = field(default_factory=list)  # by the picker: shed, or no endpoint
    impossible: list[Arrival] = field(default_factory=list)  # by the engine: longer than its KV cache
    ended_at: float = 0.0
    events: int = 0  # arrivals, answers, pages asked for and come, steps: however they were worked off
    prompt_tokens: int = 0  # of all requests that an engine took
    ideal_cached_tokens: int = 0  # those of them that one endless cache for all engines would have had
    timeline: Timeline = field(default_factory=Timeline)
    misbehaved: dict[str, int] = field(default_factory=dict)  # what plugins did wrong, and how often


class _Kind(IntEnum):
    """Of an event; the order within one moment."""

    ARRIVAL = 0
    ANSWER = 1
    SAMPLE = 2
    STEP = 3


class Simulation:
    """`arrivals` on `servers` under one picker, once. `progress` is told the time and the requests over."""

    def __init__(
        self,
        picker: VirtualPicker,
        servers: Mapping[str, Server],
        arrivals: Iterable[Arrival],
        *,
        lag: float = LAG,
        progress: Callable[[float, int], object] = lambda now, over: None,
    ) -> None:
        self._picker = picker
        self._servers = servers
        self._arrivals: Iterator[Arrival] = iter(arrivals)
        self._lag = lag
        self._progress = progress
        self._events: list[tuple[float, int, int, Any]] = []
        self._order = itertools.count()
        self._due: dict[str, float] = {}  # the next step of each engine that is not idle
        self._taken: dict[str, Placed] = {}  # requests that an engine has
        self._open = True  # more arrivals are to come
        self._scraping = Scraping(servers, picker.cadence, lag, self._page, picker.store.scraped)
        self._ideal = IdealCache()
        self.outcome = Outcome(timeline=Timeline(servers))

    def run(self) -> Outcome:
        """Runs until every request is over."""
        self._push(self.outcome.timeline.due, _Kind.SAMPLE, None)
        self._expect_arrival()
        handlers: tuple[Callable[[float, Any], None], ...] = (
            self._arrive,
            self._answer,
            self._sample,
            self._step,
        )
        outcome, handled = self.outcome, 0
        while self._open or self._taken:
            now, kind, _, what = heapq.heappop(self._events)
            handlers[kind](now, what)
            handled += 1
            if not handled % _PROGRESS_EVENTS:
                self._progress(now, len(outcome.done) + len(outcome.refused) + len(outcome.impossible))
        self._scraping.look(outcome.ended_at)
        outcome.events += 2 * self._scraping.asked + sum(s.counters.steps for s in self._servers.values())
        return outcome

    def _push(self, at: float, kind: _Kind, what: object) -> None:
        heapq.heappush(self._events, (at, kind, next(self._order), what))

    # Requests --------------------------------------------------------------------------------------------

    def _expect_arrival(self) -> None:
        arrival = next(self._arrivals, None)
        if arrival is None:
            self._open = False
        else:
            self._push(arrival.at, _Kind.ARRIVAL, arrival)

    def _arrive(self, now: float, arrival: Arrival) -> None:
        self._expect_arrival()
        self.outcome.events += 1
        self._scraping.look(now)
        if self._picker.requested(now):
            self._scraping.woken()
        name, prompt = str(next(self._order)), text(arrival.prompt)
        try:
            placed = self._picker.place(arrival, name, prompt, now)
        except RequestError:
            self.outcome.refused.append(arrival)
            return
        self._submit(name, placed, arrival, prompt, now)

    def _submit(self, name: str, placed: Placed, arrival: Arrival, prompt: bytes, now: float) -> None:
        endpoint = placed.endpoint.spec.name
        server = self._up_to_date(endpoint, now)
        load = LoadSample(server.waiting, None, server.kv_usage)
        request = _sim_request(name, arrival, prompt, server.config.block_size)
        try:
            server.submit(request, now)
        except ValueError:
            self._picker.give_back(placed, now)
            self.outcome.impossible.append(arrival)
            return
        self.outcome.prompt_tokens += request.prompt_tokens
        cached, place = self._ideal.ask(arrival)
        self.outcome.ideal_cached_tokens += cached
        self._ideal.answered(place, arrival.answer, arrival.output_tokens)
        self._taken[name] = placed
        self._push(now + self._lag, _Kind.ANSWER, (name, load))
        self._expect_step(endpoint, now if server.due is None else server.due)

    def _answer(self, now: float, news: tuple[str, LoadSample]) -> None:
        self.outcome.events += 1
        name, load = news
        if name in self._taken:
            placed = self._taken[name]
            self._scraping.bring(placed.endpoint.spec.name, now)
            self._picker.answer_begins(placed, load, now)

    # Engines ---------------------------------------------------------------------------------------------

    def _up_to_date(self, name: str, now: float) -> Server:
        self._scraping.keep(name, now)
        server = self._servers[name]
        server.catch_up(now)
        return server

    def _expect_step(self, name: str, due: float) -> None:
        if self._due.get(name) != due:
            self._due[name] = due
            self._push(due, _Kind.STEP, name)

    def _step(self, now: float, name: str) -> None:
        if self._due.get(name) != now:
            return  # a request came meanwhile, and the step was sooner
        self._scraping.keep(name, nextafter(now, inf))  # a page of this moment comes before the step
        server = self._servers[name]
        result = server.step(now)
        for sequence in result.tokens:
            if sequence.produced == 1:
                self._picker.first_token(self._taken[sequence.request.id], now)
        for sequence in result.finished:
            self._finish(sequence, name, now)
        del self._due[name]
        due = server.leap()
        if due is not None:
            self._expect_step(name, due)

    def _finish(self, sequence: Sequence, server: str, now: float) -> None:
        request = sequence.request
        placed = self._taken.pop(request.id)
        usage = Usage(request.prompt_tokens, sequence.produced, sequence.cached_tokens)
        self._picker.answer_ended(placed, usage, now)
        assert sequence.first_token_at is not None  # it is finished
        self.outcome.done.append(
            Done(
                server,
                sequence.arrived_at,
                sequence.first_token_at,
                now,
                sequence.produced,
                sequence.cached_tokens,
                request.prompt_tokens,
                placed.request.priority,
            )
        )
        self.outcome.ended_at = now

    def _sample(self, now: float, _: None) -> None:
        timeline = self.outcome.timeline
        timeline.add(now, [_look(self._up_to_date(name, now)) for name in self._servers])
        self._push(timeline.due, _Kind.SAMPLE, None)

    def _page(self, name: str, now: float) -> LoadSample:
        server = self._servers[name]
        server.catch_up(now)
        config = server.config
        return LoadSample(
            server.waiting,
            server.running,
            server.kv_usage,
            config.block_size,
            config.num_blocks,
            config.max_loras,
            frozenset(server.active_adapters),
        )


def _sim_request(name: str, arrival: Arrival, prompt: bytes, block_size: int) -> SimRequest:
    answered = prompt + text([Piece(arrival.answer, arrival.output_tokens)])
    return SimRequest(
        name,
        sum(piece.tokens for piece in arrival.prompt),
        arrival.output_tokens,
        chained_hashes(answered, block_size, salt=arrival.adapter),
        arrival.adapter,
    )


def _look(server: Server) -> Look:
    counters = server.counters
    return (server.running, server.waiting, server.kv_usage, counters.prefix_queries, counters.prefix_hits)
