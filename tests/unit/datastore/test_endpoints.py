"""Endpoints as columns: slots, growth, what is unknown, who is a candidate."""

from __future__ import annotations

import gc
import math
from itertools import product

import numpy as np
import pytest

from epp.datastore.endpoints import Candidates, Endpoints
from epp.types import EndpointSpec, LoadSample
from tests.pools import INTERVAL, NOW, load, snapshot, spec, store_of

FLOATS = ("waiting", "running", "kv_usage", "cache_tokens", "max_lora")
COUNTS = ("in_flight", "in_flight_tokens", "picked_at", "picks")


def everything_told(number: int) -> LoadSample:
    return LoadSample(number, number + 1, number / 100, 16, number + 10, 4)


class TestMembership:
    def test_of_a_new_endpoint_nothing_is_known(self) -> None:
        endpoints = Endpoints()
        slot = endpoints.add(spec(0)).slot
        assert all(math.isnan(getattr(endpoints, name)[slot]) for name in FLOATS)
        assert all(getattr(endpoints, name)[slot] == 0 for name in COUNTS)
        assert endpoints.load_at[slot] == -math.inf

    def test_columns_grow_and_keep_their_values(self) -> None:
        endpoints = Endpoints()
        for number in range(40):  # 16, 32, 64
            one = endpoints.add(spec(number))
            endpoints.told(one, everything_told(number), now=float(number), interval=0.05)
            endpoints.reserve(one, tokens=number)
        assert sorted(endpoints.slots.tolist()) == list(range(40))
        for number in range(40):
            slot = endpoints.by_name[f"pod-{number}"].slot
            assert endpoints.by_slot[slot] is endpoints.by_name[f"pod-{number}"]
            assert endpoints.waiting[slot] == number
            assert endpoints.running[slot] == number + 1
            assert endpoints.kv_usage[slot] == number / 100
            assert endpoints.cache_tokens[slot] == 16 * (number + 10)
            assert endpoints.max_lora[slot] == 4
            assert endpoints.load_at[slot] == number
            assert endpoints.in_flight[slot] == endpoints.picks[slot] == 1
            assert endpoints.in_flight_tokens[slot] == number
            assert endpoints.picked_at[slot] == number + 1

    def test_the_smallest_block_is_of_endpoints_that_are_here(self) -> None:
        endpoints = Endpoints()
        for number in range(17):  # more slots than endpoints
            one = endpoints.add(spec(number))
            endpoints.told(one, LoadSample(0, 0, 0.0, 64, 100, 4), now=0.0, interval=0.05)
        assert endpoints.block_tokens == 64
        small = endpoints.add(spec(17))
        endpoints.told(small, LoadSample(0, 0, 0.0, 16, 100, 4), now=0.0, interval=0.05)
        assert endpoints.block_tokens == 16
        endpoints.remove(small)
        assert endpoints.block_tokens == 64
        for one in list(endpoints):
            endpoints.remove(one)
        assert endpoints.block_tokens is None

    def test_all_columns_have_the_same_length(self) -> None:
        endpoints = Endpoints()
        for number in range(17):
            endpoints.add(spec(number))
        columns = [getattr(endpoints, name) for name in (*FLOATS, *COUNTS, "load_at", "load_due_at")]
        assert {len(column) for column in columns} == {len(endpoints.by_slot)} == {32}

    def test_a_slot_that_is_used_again_starts_unknown(self) -> None:
        endpoints = Endpoints()
        old = endpoints.add(spec(0))
        slot = old.slot
        endpoints.told(old, everything_told(7), now=1.0, interval=0.05)
        endpoints.reserve(old, tokens=100)
        endpoints.remove(old)
        new = endpoints.add(spec(1))
        assert (new.slot, old.slot) == (slot, -1)
        assert all(math.isnan(getattr(endpoints, name)[slot]) for name in FLOATS)
        assert all(getattr(endpoints, name)[slot] == 0 for name in COUNTS)
        assert not endpoints.fresh(endpoints.slots, now=1.0, threshold=1e9).any()

    def test_an_update_keeps_load_and_reservations(self) -> None:
        endpoints = Endpoints()
        one = endpoints.add(spec(0))
        endpoints.told(one, everything_told(7), now=1.0, interval=0.05)
        endpoints.reserve(one, tokens=5)
        endpoints.update(one, spec(0, ready=False, zone="b"))
        assert one.spec.labels == {"zone": "b"}
        assert endpoints.waiting[one.slot] == 7
        assert endpoints.in_flight[one.slot] == 1

    def test_a_roster_of_the_past_does_not_change(self) -> None:
        endpoints = Endpoints()
        one = endpoints.add(spec(0))
        before, slot = endpoints.by_slot, one.slot
        endpoints.remove(one)
        endpoints.add(spec(1))
        assert before[slot] is one

    def test_the_instrument(self) -> None:
        endpoints = Endpoints()
        one = endpoints.add(spec(0))
        endpoints.reserve(one, tokens=1)
        assert repr(endpoints) == "<Endpoints 1 in_flight=1>"
        assert repr(one) == "<Endpoint pod-0 192.168.1.1:8000 slot=0>"


class TestReadiness:
    def test_endpoints_that_are_not_ready_are_in_the_pool_and_no_candidates(self) -> None:
        endpoints = Endpoints()
        one, two = endpoints.add(spec(0)), endpoints.add(spec(1, ready=False))
        assert endpoints.slots.tolist() == [one.slot, two.slot]
        assert endpoints.ready.slots.tolist() == [one.slot]
        endpoints.update(two, spec(1))
        assert endpoints.ready.slots.tolist() == [one.slot, two.slot]
        endpoints.remove(one)
        assert endpoints.ready.slots.tolist() == [two.slot]


class TestSubset:
    @pytest.fixture
    def endpoints(self) -> Endpoints:
        endpoints = Endpoints()
        endpoints.add(spec(0))
        endpoints.add(spec(1))
        endpoints.add(spec(2, ready=False))
        endpoints.add(EndpointSpec("six", "2001:db8::1", 8000))
        endpoints.add(EndpointSpec("six-rank-1", "2001:db8::1", 8001))
        return endpoints

    @pytest.mark.parametrize(
        ("subset", "chosen"),
        [
            ({"192.168.1.1:8000"}, ["pod-0"]),
            ({"192.168.1.1"}, ["pod-0"]),
            ({"192.168.1.1", "192.168.1.1:8000", "192.168.1.2:8000"}, ["pod-0", "pod-1"]),
            ({"192.168.1.1:9"}, []),  # another port is another server
            ({"192.168.1.3:8000"}, []),  # not ready
            ({"192.168.1.99:8000"}, []),
            ({"[2001:db8::1]:8001"}, ["six-rank-1"]),
            ({"2001:db8::1"}, ["six", "six-rank-1"]),
            ({"[2001:db8::1]"}, ["six", "six-rank-1"]),
            (set(), []),
        ],
    )
    def test_matching(self, endpoints: Endpoints, subset: set[str], chosen: list[str]) -> None:
        slots = endpoints.matching(frozenset(subset))
        assert slots.dtype == np.intp
        assert [one.spec.name for slot in slots if (one := endpoints.by_slot[slot])] == chosen

    def test_matching_follows_the_pool(self, endpoints: Endpoints) -> None:
        subset = frozenset({"192.168.1.1", "192.168.1.9"})
        one = endpoints.by_name["pod-0"]
        assert endpoints.matching(subset).tolist() == [one.slot]
        nine = endpoints.add(spec(8))
        assert endpoints.matching(subset).tolist() == [one.slot, nine.slot]
        endpoints.update(one, spec(0, ready=False))
        assert endpoints.matching(subset).tolist() == [nine.slot]
        endpoints.remove(nine)
        assert endpoints.matching(subset).tolist() == []


class TestLoad:
    def test_what_a_sample_does_not_say_stays(self) -> None:
        endpoints = Endpoints()
        one = endpoints.add(spec(0))
        endpoints.told(one, everything_told(7), now=1.0, interval=0.05)
        endpoints.told(one, LoadSample(waiting=2), now=2.0, interval=0.5)
        slot = one.slot
        assert (endpoints.waiting[slot], endpoints.running[slot], endpoints.kv_usage[slot]) == (2, 8, 0.07)
        assert (endpoints.load_at[slot], endpoints.load_due_at[slot]) == (2.0, 2.5)

    @pytest.mark.parametrize(
        ("sample", "counts"),
        [
            (LoadSample(waiting=0), True),
            (LoadSample(kv_usage=0.0), True),
            (LoadSample(running=3, block_size=16, num_blocks=10, max_lora=2), False),
            (LoadSample(), False),
        ],
    )
    def test_only_queue_and_kv_use_are_load(self, sample: LoadSample, counts: bool) -> None:
        endpoints = Endpoints()
        endpoints.told(endpoints.add(spec(0)), sample, now=5.0, interval=0.05)
        assert endpoints.fresh(endpoints.slots, now=5.0, threshold=0.2).tolist() == [counts]

    def test_half_a_cache_config_is_none(self) -> None:
        endpoints = Endpoints()
        one = endpoints.add(spec(0))
        endpoints.told(one, LoadSample(block_size=16), now=0.0, interval=0.05)
        endpoints.told(one, LoadSample(num_blocks=100), now=0.0, interval=0.05)
        assert math.isnan(endpoints.cache_tokens[one.slot])

    @pytest.mark.parametrize(
        ("age", "interval", "fresh"),
        [
            (0.0, 0.0625, True),
            (0.25, 0.0, True),
            (0.3125, 0.0625, True),
            (0.375, 0.0625, False),
            (1.25, 1.0, True),
        ],
    )
    def test_freshness_counts_from_when_load_could_be_expected(
        self, age: float, interval: float, fresh: bool
    ) -> None:
        endpoints = Endpoints()
        endpoints.told(endpoints.add(spec(0)), LoadSample(waiting=0), now=64.0, interval=interval)
        assert endpoints.fresh(endpoints.slots, now=64.0 + age, threshold=0.25).tolist() == [fresh]


class TestReservations:
    def test_given_back_what_was_taken(self) -> None:
        endpoints = Endpoints()
        one = endpoints.add(spec(0))
        endpoints.reserve(one, tokens=10)
        endpoints.reserve(one, tokens=5)
        endpoints.release(one, tokens=10)
        assert (endpoints.in_flight[one.slot], endpoints.in_flight_tokens[one.slot]) == (1, 5)
        assert endpoints.picks[one.slot] == 2

    def test_picks_are_numbered_over_all_endpoints(self) -> None:
        endpoints = Endpoints()
        one, two = endpoints.add(spec(0)), endpoints.add(spec(1))
        for picked in (one, two, one):
            endpoints.reserve(picked, tokens=0)
        assert endpoints.picked_at[[one.slot, two.slot]].tolist() == [3, 2]


class TestCandidates:
    def test_every_attribute_has_one_value_per_candidate_in_their_order(self) -> None:
        endpoints = Endpoints()
        added = [endpoints.add(spec(number)) for number in range(3)]
        for number, one in enumerate(added):
            endpoints.told(one, everything_told(number), now=float(number), interval=0.0)
            endpoints.reserve(one, tokens=number)
        some = Candidates(endpoints, np.array([added[2].slot, added[0].slot]), now=2.5)
        assert len(some) == 2
        assert [some.at(index) for index in range(2)] == [added[2], added[0]]
        assert some.waiting.tolist() == [2, 0]
        assert some.running.tolist() == [3, 1]
        assert some.kv_usage.tolist() == [0.02, 0]
        assert some.max_lora.tolist() == [4, 4]
        assert some.in_flight.tolist() == [1, 1]
        assert some.in_flight_tokens.tolist() == [2, 0]
        assert some.picked_at.tolist() == [3, 1]
        assert some.fresh(1.0).tolist() == [True, False]

    def test_only_some_of_them(self) -> None:
        endpoints = Endpoints()
        for number in range(3):
            endpoints.add(spec(number))
        some = Candidates(endpoints, endpoints.slots, now=1.0).only(np.array([True, False, True]))
        assert [some.at(index).spec.name for index in range(len(some))] == ["pod-0", "pod-2"]
        assert some.now == 1.0

    def test_a_scorer_cannot_write_through_them(self) -> None:
        endpoints = Endpoints()
        one = endpoints.add(spec(0))
        with pytest.raises(ValueError, match="read-only"):
            Candidates(endpoints, endpoints.slots, now=0.0).in_flight[0] = 9
        assert endpoints.in_flight[one.slot] == 0


class TestParts:
    """What a filter leaves, again and again the same."""

    def test_the_same_part_is_the_same_object_until_the_pool_changes(self) -> None:
        store = store_of(load(0, 0.0), load(1, 0.5), load(2, 0.9))
        mask = np.array([True, False, True])
        part = store.candidates(None, NOW).only(mask)
        again = store.candidates(None, NOW + 1).only(mask.copy())
        assert again is part
        assert (part.now, part.waiting.tolist()) == (NOW + 1, [0, 2])
        store.scraped("pod-2", load(7, 0.9), INTERVAL, NOW)
        assert part.waiting.tolist() == [0, 7]
        store.apply(snapshot(spec(0), spec(1)))
        assert store.candidates(None, NOW).only(np.array([True, False])).waiting.tolist() == [0]

    def test_parts_are_bounded(self) -> None:
        everybody = store_of(*[load(number, 0.0) for number in range(100)]).candidates(None, NOW)
        for number in range(100):
            mask = np.arange(100) == number
            assert everybody.only(mask).waiting.tolist() == [number]
        first = np.arange(100) == 0
        latest = everybody.only(np.arange(100) == 99)
        assert everybody.only(np.arange(100) == 99) is latest
        part = everybody.only(first)
        for number in range(1, 100):
            everybody.only(np.arange(100) == number)
        assert everybody.only(first) is not part

    def test_parts_of_parts_are_bounded(self) -> None:
        everybody = store_of(*[load(number, 0.0) for number in range(20)]).candidates(None, NOW)
        before = self._candidates_in_memory()
        for one, two, three in product(range(10), repeat=3):
            part = everybody.only(np.arange(20) != one).only(np.arange(19) != two)
            assert len(part.only(np.arange(18) != three)) == 17
        assert self._candidates_in_memory() - before < 200

    @staticmethod
    def _candidates_in_memory() -> int:
        gc.collect()
        return sum(isinstance(each, Candidates) for each in gc.get_objects())

    def test_a_part_gets_stale_sooner_as_the_whole_does(self) -> None:
        store = store_of(None, None)
        for name in ("pod-0", "pod-1"):
            store.scraped(name, load(0, 0.0), 10.0, NOW)
        part = store.candidates(None, NOW).only(np.array([True, False]))
        assert part.all_fresh(2.0)
        store.scraped("pod-0", load(0, 0.0), INTERVAL, NOW)
        part.now = NOW + 3
        assert not part.all_fresh(2.0)
