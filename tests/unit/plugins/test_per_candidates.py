"""What follows from the candidates alone is made once for them."""

from __future__ import annotations

from epp.datastore.endpoints import Candidates
from epp.plugins.per_candidates import PerCandidates
from tests.pools import everyone, snapshot, spec, store_of


def test_it_is_made_again_when_an_endpoint_comes_goes_or_changes() -> None:
    made: list[int] = []

    def count(endpoints: Candidates) -> int:
        made.append(len(endpoints))
        return len(endpoints)

    number = PerCandidates(count)
    store = store_of(None, None)
    assert [number(everyone(store)), number(everyone(store))] == [2, 2]
    assert made == [2]
    store.apply(snapshot(spec(0)))
    assert [number(everyone(store)), number(everyone(store))] == [1, 1]
    assert made == [2, 1]
    store.apply(snapshot(spec(0, zone="b")))
    assert number(everyone(store)) == 1
    assert made == [2, 1, 1]


def test_two_subsets_in_turn() -> None:
    number = PerCandidates(len)
    store = store_of(None, None)
    some = store.candidates(frozenset({"192.168.1.1"}), 0.0)
    assert [number(some), number(everyone(store)), number(some)] == [1, 2, 1]
