"""lora-affinity-scorer: 1 at hand, 0.8 a free slot, 0.6 an idle one, 0 none."""

from __future__ import annotations

import pytest

from epp.datastore.store import Datastore
from epp.plugins.lora_affinity_scorer import LoraAffinityScorer
from tests.plugins import scores as scored
from tests.plugins import set_up
from tests.pools import INTERVAL, NOW, endpoint, everyone, load, request, store_of

AT_HAND, FREE_SLOT, IDLE_SLOT, NO_SLOT = 1.0, 0.8, 0.6, 0.0


def scores(store: Datastore, model: str) -> list[float]:
    return scored(set_up(LoraAffinityScorer(), store), request(model=model), everyone(store))


def serving(*adapters: str, endpoints: int = 1, max_lora: int = 2) -> Datastore:
    """Endpoints that list `adapters` and have run none of them yet."""
    store = store_of(*[load(0, 0.0, max_lora=max_lora)] * endpoints)
    for number in range(endpoints):
        store.models_listed(f"pod-{number}", frozenset({"base"}), frozenset(adapters))
    return store


@pytest.mark.parametrize("model", ["base", "never-heard-of"])
def test_what_is_no_adapter_suits_all_alike(model: str) -> None:
    assert scores(serving("a", endpoints=2), model) == [1, 1]


def test_a_request_that_was_just_sent_puts_its_adapter_at_hand() -> None:
    store = serving("a", endpoints=2)
    assert scores(store, "a") == [FREE_SLOT, FREE_SLOT]
    held = store.reserve(endpoint(store, 1), 10, "a")
    assert scores(store, "a") == [FREE_SLOT, AT_HAND]
    held.release()
    assert scores(store, "a") == [FREE_SLOT, AT_HAND], "idle, and still in its slot"


def test_the_metrics_put_it_at_hand() -> None:
    store = serving("a", endpoints=2)
    store.scraped("pod-0", load(0, 0.0, "a"), INTERVAL, NOW)
    assert scores(store, "a") == [AT_HAND, FREE_SLOT]


def test_an_idle_adapter_gives_way_and_busy_ones_do_not() -> None:
    store = serving("a", "b", "c")
    first = store.reserve(endpoint(store, 0), 10, "a")
    store.reserve(endpoint(store, 0), 10, "b")
    assert scores(store, "c") == [NO_SLOT]
    first.release()
    assert scores(store, "c") == [IDLE_SLOT]


def test_adapters_in_flight_hold_slots_however_many_were_known_when_they_were_sent() -> None:
    store = serving("a", "b", "c", max_lora=1)
    for adapter in ("a", "b"):
        store.reserve(endpoint(store, 0), 10, adapter)
    store.scraped("pod-0", load(0, 0.0, max_lora=2), INTERVAL, NOW)
    assert scores(store, "c") == [NO_SLOT]
    store.scraped("pod-0", load(0, 0.0, max_lora=3), INTERVAL, NOW)
    assert scores(store, "c") == [FREE_SLOT]


def test_an_endpoint_that_does_not_list_it_cannot_serve_it() -> None:
    store = serving("a", endpoints=2)
    store.models_listed("pod-0", frozenset({"base"}), frozenset())
    assert scores(store, "a") == [NO_SLOT, FREE_SLOT]


def test_an_endpoint_that_did_not_list_anything_may() -> None:
    store = store_of(load(0, 0.0), load(0, 0.0, "a", max_lora=2))
    assert scores(store, "a") == [FREE_SLOT, AT_HAND]
    assert scores(store, "base") == [1, 1]


def test_the_rewritten_model_counts() -> None:
    store = serving("a", endpoints=2)
    store.reserve(endpoint(store, 0), 10, "a")
    asked = request(model="alias", target="a")
    assert scored(set_up(LoraAffinityScorer(), store), asked, everyone(store)) == [AT_HAND, FREE_SLOT]


def test_it_follows_the_candidates_order() -> None:
    store = serving("a", endpoints=3)
    store.reserve(endpoint(store, 2), 10, "a")
    some = store.candidates(frozenset({"192.168.1.2", "192.168.1.3"}), NOW)
    assert scored(set_up(LoraAffinityScorer(), store), request(model="a"), some) == [FREE_SLOT, AT_HAND]
