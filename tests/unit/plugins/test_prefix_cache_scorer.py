"""prefix-cache-scorer: matched bytes / prompt bytes, learned from what was placed."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from epp.datastore.endpoints import Endpoint
from epp.datastore.store import Datastore
from epp.plugin import UNWATCHED, PlacementObserver, Watcher
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.plugins.prefix_cache_scorer import PrefixCacheScorer
from epp.types import InferenceRequest
from tests.plugins import Surroundings, scores
from tests.pools import endpoint, everyone, load, request, snapshot, spec, store_of


def text(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


class Placing:
    """A scorer and the index that it asks, which is told of placements as the scheduler does it."""

    def __init__(
        self, store: Datastore, scorer: PrefixCacheScorer | None = None, watcher: Watcher = UNWATCHED
    ) -> None:
        around = Surroundings(store, watcher)
        self.scorer = around.set_up(scorer or PrefixCacheScorer())
        self.producer = around.shared(ApproxPrefixCacheProducer)
        store.departed = self.producer.left
        self._store = store

    def placed(self, asked: InferenceRequest, where: Endpoint) -> None:
        self.producer.placed(asked, where, "default")

    def scores(self, asked: InferenceRequest) -> list[float]:
        return scores(self.scorer, asked, everyone(self._store))


def test_nothing_was_placed_yet() -> None:
    store = store_of(load(), load())
    assert Placing(store).scores(request(text(1000))) == [0, 0]


def test_the_same_prompt_again_matches_where_it_went() -> None:
    store = store_of(load(), load())
    scorer = Placing(store)
    scorer.placed(request(text(1000)), endpoint(store, 1))
    assert scorer.scores(request(text(1000))) == [0, 1]


def test_half_a_prompt() -> None:
    store = store_of(load(), load())
    scorer = Placing(store)
    scorer.placed(request(text(1280)), endpoint(store, 0))
    assert scorer.scores(request(text(1280)[:640] + text(640, 1))) == [0.5, 0]


def test_a_prompt_that_was_only_scored_is_nowhere() -> None:
    store = store_of(load())
    scorer = Placing(store)
    scorer.scores(request(text(1000)))
    assert scorer.scores(request(text(1000))) == [0]


@pytest.mark.parametrize("model", ["other", "lora"])
def test_another_model_shares_nothing(model: str) -> None:
    store = store_of(load())
    scorer = Placing(store)
    scorer.placed(request(text(1000)), endpoint(store, 0))
    assert scorer.scores(request(text(1000), model)) == [0]
    assert scorer.scores(request(text(1000), "alias", target="base")) == [1], "the target counts"


def test_a_request_without_a_prompt() -> None:
    store = store_of(load(), load())
    scorer = Placing(store)
    assert scorer.scores(request()) == [0, 0]
    scorer.placed(request(), endpoint(store, 0))
    assert scorer.producer.blocks_held == 0


def test_an_endpoint_holds_what_fits_in_its_kv_cache() -> None:
    store = store_of(load(block_size=16, num_blocks=10), load())
    scorer = Placing(store)
    for number in (0, 1):
        scorer.placed(request(text(1280)), endpoint(store, number))
    assert scorer.scores(request(text(1280))) == [0.5, 1]
    assert math.isnan(store.endpoints.cache_tokens[endpoint(store, 1).slot])


def test_placing_another_request_than_the_last_one_scored() -> None:
    store = store_of(load())
    scorer = Placing(store)
    one, two = request(text(500, 1)), request(text(500, 2))
    scorer.scores(one)
    scorer.placed(two, endpoint(store, 0))
    assert scorer.scores(one) == [0]
    assert scorer.scores(two) == [1]


def test_what_the_chosen_endpoint_held_is_shown() -> None:
    store = store_of(load(), load())
    seen: list[tuple[int, int]] = []
    watcher = Watcher(prefix_matched=lambda hit, size: seen.append((hit, size)))
    scorer = Placing(store, watcher=watcher)
    for prompt, number in ((text(1280), 0), (text(1280), 0), (text(640) + text(640, 1), 0), (text(1280), 1)):
        scorer.placed(request(prompt), endpoint(store, number))
    scorer.placed(request(), endpoint(store, 0))
    assert seen == [(0, 1280), (1280, 1280), (640, 1280), (0, 1280)]


def test_a_request_that_was_placed_is_forgotten() -> None:
    store = store_of(load())
    scorer = Placing(store)
    asked = request(text(500))
    before = sys.getrefcount(asked)
    scorer.scores(asked)
    scorer.placed(asked, endpoint(store, 0))
    assert sys.getrefcount(asked) == before


def test_it_wants_to_know_of_placements() -> None:
    assert isinstance(ApproxPrefixCacheProducer(), PlacementObserver)


def test_a_slot_that_is_used_again_holds_nothing() -> None:
    store = store_of(load())
    scorer = Placing(store)
    scorer.placed(request(text(500)), endpoint(store, 0))
    store.apply(snapshot())
    store.apply(snapshot(spec(0)))
    assert scorer.scores(request(text(500))) == [0]


@pytest.mark.parametrize(
    ("matched", "score"),
    [(1280, 0.5 * (320 / 640) ** 2 + 0.5 * 1.0), (640, 0.5 * (160 / 640) ** 2 + 0.5 * 0.5)],
)
def test_the_length_of_the_match_may_count(matched: int, score: float) -> None:
    store = store_of(load())
    scorer = Placing(store, PrefixCacheScorer(match_length_weight=0.5, match_length_scale_tokens=640))
    scorer.placed(request(text(1280)), endpoint(store, 0))
    assert scorer.scores(request(text(1280)[:matched] + text(1280 - matched, 1))) == [score]


def test_parameters_of_its_own_where_no_producer_is_listed() -> None:
    around = Surroundings(store_of())
    around.set_up(PrefixCacheScorer(block_size_tokens=32, lru_capacity_per_server=7, auto_tune=False))
    assert around.shared(ApproxPrefixCacheProducer) == ApproxPrefixCacheProducer(
        block_size_tokens=32, lru_capacity_per_server=7, auto_tune=False
    )


def test_the_block_size_of_v1_0_1_is_in_characters() -> None:
    around = Surroundings(store_of())
    around.set_up(PrefixCacheScorer(hash_block_size=64))
    assert around.shared(ApproxPrefixCacheProducer).block_size_tokens == 16


def test_the_producer_that_it_names() -> None:
    around = Surroundings(
        store_of(), plugins={"a": ApproxPrefixCacheProducer(), "b": ApproxPrefixCacheProducer()}
    )
    scorer = around.set_up(PrefixCacheScorer(prefix_match_info_producer_name="b"))
    around.plugins["b"].placed(request(text(640)), Endpoint(spec(0), 0), "p")  # type: ignore[attr-defined]
    assert scores(scorer, request(text(640)), everyone(store_of(load()))) == [1]
    with pytest.raises(ValueError, match='"c" is no ApproxPrefixCacheProducer'):
        around.set_up(PrefixCacheScorer(prefix_match_info_producer_name="c"))
