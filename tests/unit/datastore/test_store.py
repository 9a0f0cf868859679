"""The datastore: snapshots come in, loads and lists are taken over, requests hold and give back."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from epp.datastore.store import Changes, Datastore, Reservation
from epp.types import Objective, PoolSpec, Rewrite, RewriteTarget, Snapshot
from tests.pools import INTERVAL, NOW, POOL, endpoint, everyone, load, snapshot, spec, store_of


def in_flight(store: Datastore, number: int) -> tuple[int, int]:
    """Requests and tokens that endpoint `number` holds."""
    slot = endpoint(store, number).slot
    return int(store.endpoints.in_flight[slot]), int(store.endpoints.in_flight_tokens[slot])


def names(store: Datastore) -> list[str]:
    candidates = everyone(store)
    return [candidates.at(index).spec.name for index in range(len(candidates))]


class TestApply:
    def test_it_says_what_changed(self) -> None:
        store = Datastore()
        assert store.apply(snapshot(spec(0), spec(1))) == Changes((spec(0), spec(1)), ())
        assert store.apply(snapshot(spec(1), spec(2))) == Changes((spec(2),), (spec(0),))
        assert store.apply(snapshot(spec(1), spec(2))) == Changes()
        assert sorted(names(store)) == ["pod-1", "pod-2"]

    def test_another_address_or_engine_is_another_server(self) -> None:
        store = store_of(load(3, 0.5))
        moved = replace(spec(0), port=9000)
        assert store.apply(snapshot(moved)) == Changes((moved,), (spec(0),))
        assert not everyone(store).fresh(1e9).any()
        other = replace(moved, engine="sglang")
        assert store.apply(snapshot(other)) == Changes((other,), (moved,))

    def test_labels_and_readiness_are_changes_of_the_same_server(self) -> None:
        store = store_of(load(3, 0.5))
        assert store.apply(snapshot(spec(0, zone="b"))) == Changes()
        assert endpoint(store, 0).spec.labels == {"zone": "b"}
        assert everyone(store).waiting.tolist() == [3]
        assert store.apply(snapshot(spec(0, ready=False))) == Changes()
        assert names(store) == []

    def test_two_endpoints_may_change_names(self) -> None:
        store = Datastore()
        store.apply(snapshot(spec(0), spec(1)))
        swapped = (replace(spec(1), name="pod-0"), replace(spec(0), name="pod-1"))
        assert store.apply(snapshot(*swapped)) == Changes(swapped, (spec(0), spec(1)))

    def test_without_a_pool_there_are_no_endpoints(self) -> None:
        store = store_of(load(), load())
        assert store.pool == POOL
        assert store.apply(Snapshot(None)) == Changes((), (spec(0), spec(1)))
        assert store.pool is None
        assert len(store.endpoints) == 0

    def test_a_pool_of_many_endpoints(self) -> None:
        store = Datastore()
        specs = [spec(number) for number in range(200)]
        assert store.apply(snapshot(*specs)).added == tuple(specs)
        assert store.apply(snapshot(*specs[::2])).removed == tuple(specs[1::2])
        assert len(everyone(store)) == 100

    def test_what_was_known_of_an_endpoint_goes_with_it(self) -> None:
        store = store_of(load(0, 0.0, "lora"))
        gone: list[int] = []
        store.departed = gone.append
        slot = endpoint(store, 0).slot
        store.models_listed("pod-0", frozenset({"base"}), frozenset({"listed"}))
        store.apply(snapshot(spec(1)))
        assert gone == [slot]
        assert not store.adapters.is_adapter("listed")
        assert endpoint(store, 1).base_models == frozenset()

    def test_the_instrument(self) -> None:
        store = Datastore()
        assert repr(store) == "<Datastore no pool: 0 endpoints, 0 objectives>"
        store.apply(snapshot(spec(0), objectives=[Objective("o")]))
        assert repr(store) == "<Datastore vllm-qwen3-32b-pool: 1 endpoints, 1 objectives>"


class TestObjectivesAndRewrites:
    @pytest.mark.parametrize(("name", "priority"), [("gold", 7), ("batch", -1), ("unknown", 0), ("", 0)])
    def test_priorities(self, name: str, priority: int) -> None:
        store = store_of(objectives={"gold": 7, "batch": -1})
        assert store.priority(name) == priority

    def test_an_objective_that_left_is_unknown(self) -> None:
        store = store_of(objectives={"gold": 7})
        store.apply(snapshot())
        assert store.priority("gold") == 0

    def test_rewrites_are_those_of_the_latest_snapshot(self) -> None:
        canary = Rewrite("canary", ("a",), (RewriteTarget("b"),))
        store = store_of(rewrites=[canary])
        assert store.rewrite("a", random.Random(0)) == (canary, "b")
        store.apply(snapshot())
        assert store.rewrite("a", random.Random(0)) is None


class TestLoad:
    def test_a_scrape_tells_load_and_adapters(self) -> None:
        store = store_of(load(3, 0.5, "lora", max_lora=2))
        assert everyone(store).waiting.tolist() == [3]
        shelf = store.adapters.shelves[endpoint(store, 0).slot]
        assert (shelf.told, shelf.slots) == (frozenset({"lora"}), 2)

    def test_an_answer_tells_load_and_leaves_adapters_alone(self) -> None:
        store = store_of(load(3, 0.5, "lora"))
        store.answered(endpoint(store, 0), load(1, 0.25), INTERVAL, NOW + 1)
        assert everyone(store).waiting.tolist() == [1]
        assert store.adapters.shelves[endpoint(store, 0).slot].told == {"lora"}

    def test_a_model_list(self) -> None:
        store = store_of(load())
        store.models_listed("pod-0", frozenset({"base"}), frozenset({"lora"}))
        assert endpoint(store, 0).base_models == {"base"}
        assert store.adapters.is_adapter("lora")
        assert not store.adapters.is_adapter("base")

    def test_news_of_an_endpoint_that_left_meanwhile_is_dropped(self) -> None:
        store = store_of(load())
        store.apply(snapshot())
        store.scraped("pod-0", load(3, 0.5, "lora"), INTERVAL, NOW)
        store.models_listed("pod-0", frozenset({"base"}), frozenset({"lora"}))
        assert not store.adapters.is_adapter("lora")


class TestCandidates:
    def test_the_subset_narrows_them(self) -> None:
        store = store_of(load(), load())
        one = store.candidates(frozenset({"192.168.1.2:8000"}), NOW)
        assert one.at(0) is endpoint(store, 1)
        assert len(one) == 1
        assert len(store.candidates(frozenset(), NOW)) == 0
        assert len(store.candidates(None, NOW)) == 2


class TestReservation:
    def test_given_back_exactly_once(self) -> None:
        store = store_of(load())
        first = store.reserve(endpoint(store, 0), 10, "base")
        second = store.reserve(endpoint(store, 0), 5, "base")
        assert in_flight(store, 0) == (2, 15)
        first.release()
        first.release()
        assert in_flight(store, 0) == (1, 5)
        second.release()
        assert in_flight(store, 0) == (0, 0)

    def test_moved_to_a_fallback(self) -> None:
        store = store_of(load(), load())
        held = store.reserve(endpoint(store, 0), 10, "base")
        held.move(endpoint(store, 1))
        assert (in_flight(store, 0), in_flight(store, 1)) == ((0, 0), (1, 10))
        held.release()
        assert in_flight(store, 1) == (0, 0)

    def test_moved_to_where_it_is(self) -> None:
        store = store_of(load())
        held = store.reserve(endpoint(store, 0), 10, "base")
        held.move(endpoint(store, 0))
        assert in_flight(store, 0) == (1, 10)
        assert store.endpoints.picks[endpoint(store, 0).slot] == 1

    def test_after_its_release_it_goes_nowhere(self) -> None:
        store = store_of(load(), load())
        held = store.reserve(endpoint(store, 0), 10, "base")
        held.release()
        held.move(endpoint(store, 1))
        assert in_flight(store, 1) == (0, 0)

    def test_an_endpoint_that_left_takes_what_it_held_with_it(self) -> None:
        store = store_of(load())
        held = store.reserve(endpoint(store, 0), 10, "base")
        store.apply(snapshot(spec(1)))  # in the same slot
        held.release()
        assert in_flight(store, 1) == (0, 0)

    def test_moved_from_an_endpoint_that_left_to_one_that_is_there(self) -> None:
        store = store_of(load(), load())
        held = store.reserve(endpoint(store, 0), 10, "base")
        store.apply(snapshot(spec(1)))
        held.move(endpoint(store, 1))
        assert in_flight(store, 1) == (1, 10)
        held.release()
        assert in_flight(store, 1) == (0, 0)

    def test_moved_to_an_endpoint_that_left(self) -> None:
        store = store_of(load(), load())
        left = endpoint(store, 1)
        held = store.reserve(endpoint(store, 0), 10, "base")
        store.apply(snapshot(spec(0)))
        held.move(left)
        assert in_flight(store, 0) == (0, 0)
        held.release()
        assert in_flight(store, 0) == (0, 0)

    def test_an_adapter_is_in_flight_with_its_request(self) -> None:
        store = store_of(load(), load())
        store.models_listed("pod-0", frozenset({"base"}), frozenset({"lora"}))
        held = store.reserve(endpoint(store, 0), 10, "lora")
        shelves = [store.adapters.shelves[endpoint(store, number).slot] for number in (0, 1)]
        assert [shelf.busy() for shelf in shelves] == [{"lora"}, set()]
        held.move(endpoint(store, 1))
        assert [shelf.busy() for shelf in shelves] == [set(), {"lora"}]
        held.release()
        assert [shelf.busy() for shelf in shelves] == [set(), set()]

    def test_a_base_model_is_no_adapter(self) -> None:
        store = store_of(load())
        store.models_listed("pod-0", frozenset({"base"}), frozenset({"lora"}))
        store.reserve(endpoint(store, 0), 10, "base")
        assert store.adapters.shelves[endpoint(store, 0).slot].busy() == set()

    def test_an_adapter_that_becomes_known_meanwhile_is_not_given_back(self) -> None:
        store = store_of(load())
        early = store.reserve(endpoint(store, 0), 10, "lora")
        store.models_listed("pod-0", frozenset(), frozenset({"lora"}))
        late = store.reserve(endpoint(store, 0), 10, "lora")
        early.release()
        assert store.adapters.shelves[endpoint(store, 0).slot].busy() == {"lora"}
        late.release()
        assert store.adapters.shelves[endpoint(store, 0).slot].busy() == set()


numbers = st.integers(0, 5)


class AnySequence(RuleBasedStateMachine):
    """Whatever comes, every endpoint holds what open reservations say, and nothing when all are released."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.store = Datastore()
        self.store.apply(snapshot(spec(0), spec(1)))
        self.open: list[tuple[Reservation, int]] = []

    @rule(present=st.sets(numbers), port=st.sampled_from([8000, 8001]), ready=st.booleans())
    def apply(self, present: set[int], port: int, ready: bool) -> None:
        specs = [replace(spec(number, ready=ready), port=port) for number in sorted(present)]
        self.store.apply(snapshot(*specs))

    @rule(name=st.sampled_from(["pool", None]))
    def pool_comes_or_goes(self, name: str | None) -> None:
        self.store.apply(Snapshot(PoolSpec(name) if name else None, (spec(0), spec(1))))

    @rule(number=numbers, adapters=st.frozensets(st.sampled_from("ab")))
    def list_models(self, number: int, adapters: frozenset[str]) -> None:
        self.store.models_listed(f"pod-{number}", frozenset({"base"}), adapters)

    @rule(
        target=reservations,
        pick=numbers,
        tokens=st.integers(0, 1000),
        model=st.sampled_from(["a", "b", "base"]),
    )
    def reserve(self, pick: int, tokens: int, model: str) -> Reservation | None:
        present = list(self.store.endpoints)
        if not present:
            return None
        held = self.store.reserve(present[pick % len(present)], tokens, model)
        self.open.append((held, tokens))
        return held

    @rule(held=reservations, to=reservations)
    def move(self, held: Reservation | None, to: Reservation | None) -> None:
        if held and to:
            held.move(to.endpoint)  # which may have left

    @rule(held=reservations, pick=numbers)
    def move_to_one_that_is_there(self, held: Reservation | None, pick: int) -> None:
        present = list(self.store.endpoints)
        if held and present:
            held.move(present[pick % len(present)])

    @rule(held=reservations)
    def release(self, held: Reservation | None) -> None:
        if held:
            held.release()
            self.open = [(one, tokens) for one, tokens in self.open if one is not held]

    @invariant()
    def endpoints_hold_what_is_open(self) -> None:
        columns = self.store.endpoints
        for one in columns:
            tokens = [tokens for held, tokens in self.open if held.endpoint is one]
            assert columns.in_flight[one.slot] == len(tokens)
            assert columns.in_flight_tokens[one.slot] == sum(tokens)

    def teardown(self) -> None:
        for held, _ in self.open:
            held.release()
        for one in self.store.endpoints:
            assert self.store.endpoints.in_flight[one.slot] == 0
            assert self.store.endpoints.in_flight_tokens[one.slot] == 0
            assert not self.store.adapters.shelves[one.slot].in_flight


TestAnySequence = AnySequence.TestCase


def test_a_model_has_a_priority_for_requests_that_name_no_objective() -> None:
    store = Datastore()
    old, new = Objective("m", -1, model="llama"), Objective("food", 2)
    store.apply(Snapshot(PoolSpec("demo"), objectives=(old, new)))
    assert store.priority("", "llama") == -1
    assert store.priority("food", "llama") == 2
    assert store.priority("unknown", "llama") == 0
    assert store.priority("m", "other") == 0


def test_requests_run_on_where_their_endpoint_terminates_and_goes() -> None:
    store = store_of(load(), load())
    leaving = endpoint(store, 0)
    running = store.reserve(leaving, 10, "base")
    store.apply(snapshot(spec(0, ready=False), spec(1)))
    assert leaving.slot not in store.candidates(None, NOW).slots
    assert store.endpoints.in_flight[leaving.slot] == 1
    store.apply(snapshot(spec(1)))
    store.apply(snapshot(spec(1), spec(2)))  # which takes the slot
    running.release()
    assert store.endpoints.in_flight.sum() == 0
