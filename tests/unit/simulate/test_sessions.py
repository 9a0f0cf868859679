"""Sessions: their rate, their order, and that each turn carries all before it."""

from __future__ import annotations

import random
from itertools import islice, takewhile

import pytest

from epp.simulate.sessions import Session, Turn, interleaved, poisson
from epp.simulate.workload import Arrival, Piece

TURNS = [Turn(7.0, 10, 5), Turn(2.0, 20, 6), Turn(3.0, 30, 7)]


def arrivals(requests: int, turns: list[Turn] = TURNS, rate: float = 10.0) -> list[Arrival]:
    session = Session(Piece("system", 100), turns)
    return list(islice(interleaved(random.Random(1), rate, lambda: session), requests))


def test_poisson() -> None:
    times = list(takewhile(lambda at: at < 105, poisson(random.Random(1), 50.0, start=5.0)))
    assert times == sorted(times)
    assert times[0] > 5
    assert len(times) == pytest.approx(5000, rel=0.05)


def test_the_rate_is_there_from_the_start() -> None:
    times = [arrival.at for arrival in arrivals(6000, [Turn(30.0, 1, 1)] * 20)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[999] == pytest.approx(100, rel=0.1)
    assert times[5999] == pytest.approx(600, rel=0.1)


def test_a_session_from_its_first_turn_to_its_last() -> None:
    everything = arrivals(500)
    third = next(each for each in everything if len(each.prompt) == 6)
    system, question, answer, second, reply, last = third.prompt
    begun = next(each for each in everything if each.prompt == (system, question))
    then = next(each for each in everything if each.prompt == (system, question, answer, second))
    assert [begun.output_tokens, then.output_tokens, third.output_tokens] == [5, 6, 7]
    assert [begun.answer, then.answer] == [answer.key, reply.key]
    assert [piece.tokens for piece in third.prompt] == [100, 10, 5, 20, 6, 30]
    assert then.at - begun.at == pytest.approx(2.0)
    assert third.at - then.at == pytest.approx(3.0)
    assert last.key != second.key


def test_what_had_begun_before_the_start_says_what_is_left_of_it() -> None:
    late = [each for each in arrivals(100) if len(each.prompt) == 2 and each.output_tokens != 5]
    assert late
    assert all(each.at < 5 for each in late)
