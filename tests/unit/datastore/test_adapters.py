"""The adapters' book: what an endpoint has at hand, by what was sent, told and listed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from epp.datastore.adapters import MAX_SEEN, Adapters, Shelf


def book(*slots: int) -> Adapters:
    adapters = Adapters()
    for slot in slots:
        adapters.added(slot)
    return adapters


class TestSlots:
    def test_an_endpoint_that_does_not_tell_has_one(self) -> None:
        shelf = Shelf()
        shelf.touch("a")
        shelf.touch("b")
        assert list(shelf.recent) == ["b"]

    def test_the_one_unused_for_longest_is_pushed_out(self) -> None:
        shelf = Shelf(slots=2)
        for adapter in ("a", "b", "a", "c"):
            shelf.touch(adapter)
        assert list(shelf.recent) == ["a", "c"]

    def test_fewer_slots_push_out_at_once(self) -> None:
        shelf = Shelf(slots=3)
        for adapter in ("a", "b", "c"):
            shelf.touch(adapter)
        shelf.resize(1)
        assert list(shelf.recent) == ["c"]

    def test_the_metrics_say_how_many(self) -> None:
        adapters = book(0)
        adapters.told(0, None, max_lora=2)
        adapters.reserve(0, "a")
        adapters.reserve(0, "b")
        assert list(adapters.shelves[0].recent) == ["a", "b"]
        adapters.told(0, None, max_lora=None)
        assert adapters.shelves[0].slots == 2


class TestInFlight:
    def test_busy_until_the_last_request_has_ended(self) -> None:
        adapters = book(0)
        adapters.reserve(0, "a")
        adapters.reserve(0, "a")
        adapters.release(0, "a")
        assert adapters.shelves[0].busy() == {"a"}
        adapters.release(0, "a")
        assert adapters.shelves[0].busy() == set()
        assert list(adapters.shelves[0].recent) == ["a"], "idle, and still in its slot"

    def test_pushed_out_of_the_slots_it_is_still_busy(self) -> None:
        adapters = book(0)
        adapters.reserve(0, "a")
        adapters.reserve(0, "b")
        assert list(adapters.shelves[0].recent) == ["b"]
        assert adapters.shelves[0].busy() == {"a", "b"}

    def test_endpoints_have_shelves_of_their_own(self) -> None:
        adapters = book(0, 1)
        adapters.reserve(0, "a")
        assert adapters.shelves[1].busy() == set()

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40), st.integers(1, 3))
    def test_in_flight_is_what_was_reserved_and_not_released(
        self, steps: list[tuple[str, bool]], slots: int
    ) -> None:
        adapters = book(0)
        adapters.told(0, None, max_lora=slots)
        held: list[str] = []
        for adapter, takes in steps:
            if takes:
                adapters.reserve(0, adapter)
                held.append(adapter)
            elif adapter in held:
                adapters.release(0, adapter)
                held.remove(adapter)
            shelf = adapters.shelves[0]
            assert shelf.busy() == set(held)
            assert len(shelf.recent) <= slots
        assert sorted(adapters.shelves[0].in_flight.elements()) == sorted(held)


class TestTold:
    def test_what_the_metrics_name_is_busy_and_in_a_slot(self) -> None:
        adapters = book(0)
        adapters.told(0, frozenset({"a", "b"}), max_lora=4)
        assert adapters.shelves[0].busy() == {"a", "b"}
        adapters.told(0, frozenset(), max_lora=4)
        assert adapters.shelves[0].busy() == set()
        assert set(adapters.shelves[0].recent) == {"a", "b"}

    def test_silence_changes_nothing(self) -> None:
        adapters = book(0)
        adapters.told(0, frozenset({"a"}), max_lora=4)
        adapters.told(0, None, None)
        assert adapters.shelves[0].busy() == {"a"}

    def test_the_same_again_does_not_count_as_use(self) -> None:
        adapters = book(0)
        adapters.told(0, frozenset({"a"}), max_lora=2)
        adapters.reserve(0, "b")
        adapters.told(0, frozenset({"a"}), max_lora=2)
        adapters.reserve(0, "c")
        assert list(adapters.shelves[0].recent) == ["b", "c"]

    def test_a_name_told_once_is_known_as_an_adapter(self) -> None:
        adapters = book(0)
        assert not adapters.is_adapter("a")
        adapters.told(0, frozenset({"a"}), max_lora=1)
        adapters.told(0, frozenset(), max_lora=1)
        assert adapters.is_adapter("a")

    def test_names_from_metrics_alone_do_not_grow_without_bound(self) -> None:
        adapters = book(0)
        for number in range(MAX_SEEN + 1):
            adapters.told(0, frozenset({f"a{number}"}), max_lora=1)
        assert not adapters.is_adapter("a0")
        assert adapters.is_adapter("a1")
        assert adapters.is_adapter(f"a{MAX_SEEN}")


class TestListed:
    def test_a_list_replaces_the_one_before(self) -> None:
        adapters = book(0)
        adapters.listed(0, frozenset({"a", "b"}))
        adapters.listed(0, frozenset({"b", "c"}))
        assert [adapters.is_adapter(name) for name in "abc"] == [False, True, True]
        assert adapters.shelves[0].listed == frozenset({"b", "c"})

    def test_known_as_long_as_one_endpoint_lists_it(self) -> None:
        adapters = book(0, 1)
        adapters.listed(0, frozenset({"a"}))
        adapters.listed(1, frozenset({"a"}))
        adapters.listed(0, frozenset())
        assert adapters.is_adapter("a")
        adapters.removed(1)
        assert not adapters.is_adapter("a")

    def test_an_endpoint_that_did_not_say_is_not_one_without_adapters(self) -> None:
        adapters = book(0)
        assert adapters.shelves[0].listed is None
        adapters.listed(0, frozenset())
        assert adapters.shelves[0].listed == frozenset()


class TestMembership:
    def test_a_slot_that_is_used_again_starts_empty(self) -> None:
        adapters = book(0)
        adapters.reserve(0, "a")
        adapters.listed(0, frozenset({"a"}))
        adapters.removed(0)
        adapters.added(0)
        assert adapters.shelves[0] == Shelf()

    def test_the_instrument(self) -> None:
        adapters = book(0, 1)
        adapters.listed(0, frozenset({"a"}))
        assert repr(adapters) == "<Adapters 1 known, 2 endpoints>"
