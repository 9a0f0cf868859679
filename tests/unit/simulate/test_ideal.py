"""What an endless cache would have had."""

from __future__ import annotations

from epp.simulate.ideal import IdealCache
from epp.simulate.workload import Arrival, Piece


def asked(cache: IdealCache, *pieces: tuple[str, int], adapter: str = "") -> tuple[int, int]:
    return cache.ask(Arrival(0.0, tuple(Piece(*piece) for piece in pieces), 10, "answer", adapter))


def test_a_prefix_is_known_from_its_first_request() -> None:
    cache = IdealCache()
    assert asked(cache, ("system", 500), ("a", 20))[0] == 0
    assert asked(cache, ("system", 500), ("b", 20))[0] == 500
    assert asked(cache, ("b", 20))[0] == 0  # after other text it is another piece
    assert repr(cache) == "<IdealCache 4 pieces>"


def test_the_last_token_is_always_computed() -> None:
    cache = IdealCache()
    asked(cache, ("system", 500))
    assert asked(cache, ("system", 500))[0] == 499


def test_part_of_a_longer_piece_is_known_and_nothing_after_it() -> None:
    cache = IdealCache()
    asked(cache, ("a", 100), ("b", 50))
    assert asked(cache, ("a", 60), ("b", 50))[0] == 60
    assert asked(cache, ("a", 120), ("b", 50))[0] == 100
    assert asked(cache, ("a", 120), ("b", 50), ("c", 1))[0] == 170


def test_adapters_share_nothing() -> None:
    cache = IdealCache()
    asked(cache, ("a", 100), ("b", 50))
    assert asked(cache, ("a", 100), ("b", 50), adapter="food")[0] == 0
    assert asked(cache, ("a", 100), ("c", 50), adapter="food")[0] == 100


def test_an_answer_is_known_but_for_its_last_token_once_it_is_complete() -> None:
    cache = IdealCache()
    place = asked(cache, ("question", 100))[1]
    turn = (("question", 100), ("answer", 10), ("more", 5))
    cache.answered(place, "answer", 10)
    assert asked(cache, *turn)[0] == 109
    assert asked(cache, *turn, ("yet more", 5))[0] == 115
