"""Sessions of several turns, each with all before it as its prefix, interleaved in time.

When a turn comes is drawn beforehand and does not depend on answers: all policies get the same arrivals, at
the rate asked for, and one that answers late is not spared what comes next.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from epp.simulate.workload import Arrival, Piece

# Sessions that are drawn to learn how long they are: their mean is then good to about 3 %.
_DRAWN = 1000


class Turn(NamedTuple):
    """`after` the turn before, in seconds; of the first turn it counts for nothing. Lengths in tokens."""

    after: float
    question: int
    output: int


class Session(NamedTuple):
    """At least one turn, over a prompt that other sessions may have as well."""

    system: Piece
    turns: list[Turn]


class _Next(NamedTuple):
    """The turn of a session that comes next."""

    at: float
    number: int  # of the session; no two are equal, so nothing behind it is compared
    history: tuple[Piece, ...]
    turns: list[Turn]
    position: int  # of the turn


def poisson(rng: random.Random, rate: float, start: float = 0.0) -> Iterator[float]:
    """Times at random, `rate` a second, without end."""
    at = start
    while True:
        at += rng.expovariate(rate)
        yield at


def interleaved(rng: random.Random, rate: float, draw: Callable[[], Session]) -> Iterator[Arrival]:
    """The turns of sessions that begin at random, `rate` turns a second from the start on.

    To have the rate from the start, sessions are taken to have begun before it; they say first at the start
    what is left of them, without what came before.
    """
    sample = [draw().turns for _ in range(_DRAWN)]
    starts = poisson(rng, rate * _DRAWN / sum(map(len, sample)), -max(map(_seconds, sample)))
    upcoming, number = next(starts), 0
    waiting: list[_Next] = []
    while True:
        while not waiting or upcoming <= waiting[0].at:
            began = _begin(draw(), upcoming, number)
            if began is not None:
                heapq.heappush(waiting, began)
            upcoming = next(starts)
            number += 1
        turn = heapq.heappop(waiting)
        arrival = _arrival(turn)
        yield arrival
        if turn.position + 1 < len(turn.turns):
            history = (*arrival.prompt, Piece(arrival.answer, arrival.output_tokens))
            at = turn.at + turn.turns[turn.position + 1].after
            heapq.heappush(waiting, turn._replace(at=at, history=history, position=turn.position + 1))


def _begin(session: Session, at: float, number: int) -> _Next | None:
    """The first turn of a session from time 0 on; None if all of it was before."""
    for index, turn in enumerate(session.turns):
        at += turn.after if index else 0.0
        if at >= 0:
            return _Next(at, number, (session.system,), session.turns, index)
    return None


def _arrival(turn: _Next) -> Arrival:
    _, question, output = turn.turns[turn.position]
    name = f"{turn.number} {turn.position}"
    return Arrival(turn.at, (*turn.history, Piece(f"question {name}", question)), output, f"answer {name}")


def _seconds(turns: list[Turn]) -> float:
    return sum(turn.after for turn in turns[1:])
