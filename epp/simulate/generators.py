"""Workloads in the shapes that the field publishes, drawn from a seed. Lengths in tokens, times in seconds.

Requests arrive at random (Poisson) unless a workload says otherwise; popularity falls as 1/rank.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, count, islice

from epp.simulate.workload import Arrival, Piece

# A generator draws arrivals at a mean of `rate` a second, without end.
Generator = Callable[[random.Random, float], Iterator[Arrival]]


def shared_prefix(rng: random.Random, rate: float) -> Iterator[Arrival]:
    """150 groups with a prompt of 6,000 tokens in common, 1,200 of each request's own (llm-d's benchmark)."""
    ranks = _ranks(150)
    for number, at in enumerate(_poisson(rng, rate)):
        group = _draw(rng, ranks)
        prompt = (Piece(f"group {group}", 6000), Piece(f"question {number}", 1200))
        yield Arrival(at, prompt, 1 + int(rng.expovariate(1 / 250)), f"answer {number}")


def chat(rng: random.Random, rate: float) -> Iterator[Arrival]:
    """Conversations of 1 to 9 turns over one of 20 system prompts of 500 tokens.

    Each turn has all before it as its prefix and comes 5 to 60 s after the one before, whose answer is taken
    to be complete by then.
    """
    sessions = _poisson(rng, rate / 5)  # 5 turns on average
    upcoming = next(sessions)
    turns: list[tuple[float, int, int, tuple[Piece, ...]]] = []  # time, session, turns left, history
    number = 0
    while True:
        if not turns or upcoming <= turns[0][0]:
            system = Piece(f"system {rng.randrange(20)}", 500)
            heapq.heappush(turns, (upcoming, number, rng.randint(1, 9), (system,)))
            upcoming = next(sessions)
            number += 1
            continue
        at, session, left, history = heapq.heappop(turns)
        prompt = (*history, Piece(f"question {session} {left}", rng.randint(20, 400)))
        arrival = Arrival(at, prompt, 1 + int(rng.expovariate(1 / 250)), f"answer {session} {left}")
        yield arrival
        if left > 1:
            history = (*prompt, Piece(arrival.answer, arrival.output_tokens))
            heapq.heappush(turns, (at + rng.uniform(5, 60), session, left - 1, history))


def adapters(rng: random.Random, rate: float) -> Iterator[Arrival]:
    """24 LoRA adapters of very different popularity, each with a prefix of 600 tokens of its own."""
    ranks = _ranks(24)
    for number, at in enumerate(_poisson(rng, rate)):
        adapter = f"adapter-{_draw(rng, ranks)}"
        prompt = (Piece(adapter, 600), Piece(f"question {number}", 600))
        yield Arrival(at, prompt, 150, f"answer {number}", adapter=adapter)


def bursts(rng: random.Random, rate: float) -> Iterator[Arrival]:
    """16 requests at a time, of 24 groups with 2,000 tokens in common."""
    ranks = _ranks(24)
    numbers = count()
    for at in _poisson(rng, rate / 16):
        for number in islice(numbers, 16):
            prompt = (Piece(f"group {_draw(rng, ranks)}", 2000), Piece(f"question {number}", 600))
            yield Arrival(at, prompt, 150, f"answer {number}")


def heavy_tailed(rng: random.Random, rate: float) -> Iterator[Arrival]:
    """Prompts without prefixes whose lengths have a heavy tail: 300 tokens and up, a few of 100,000."""
    for number, at in enumerate(_poisson(rng, rate)):
        tokens = min(100_000, int(300 * rng.paretovariate(1.1)))
        yield Arrival(at, (Piece(f"prompt {number}", tokens),), 150, f"answer {number}")


def priorities(rng: random.Random, rate: float) -> Iterator[Arrival]:
    """The shared prefixes again, a fifth of the requests critical (1) and half of them sheddable (-1)."""
    for arrival in shared_prefix(rng, rate):
        yield arrival._replace(priority=rng.choices((1, 0, -1), (2, 3, 5))[0])


GENERATORS: Mapping[str, Generator] = {
    "shared-prefix": shared_prefix,
    "chat": chat,
    "adapters": adapters,
    "bursts": bursts,
    "heavy-tailed": heavy_tailed,
    "priorities": priorities,
}

# Every adapter that a generator names.
ADAPTERS = frozenset(f"adapter-{rank}" for rank in range(24))


def generate(name: str, requests: int, rate: float, seed: int) -> Iterator[Arrival]:
    """`requests` arrivals of the generator `name`."""
    return islice(GENERATORS[name](random.Random(seed), rate), requests)


def _poisson(rng: random.Random, rate: float) -> Iterator[float]:
    at = 0.0
    while True:
        at += rng.expovariate(rate)
        yield at


def _ranks(number: int) -> list[float]:
    """The cumulated popularity of `number` things."""
    return list(accumulate(1 / rank for rank in range(1, number + 1)))


def _draw(rng: random.Random, ranks: list[float]) -> int:
    return rng.choices(range(len(ranks)), cum_weights=ranks)[0]
