"""prefix-cache-scorer: matched bytes / prompt bytes, learned from what was placed."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from epp.datastore.store import Datastore
from epp.plugin import PlacementObserver, Watcher
from epp.plugins.prefix_cache_scorer import PrefixCacheScorer
from epp.types import InferenceRequest
from tests.pools import endpoint, everyone, load, request, snapshot, spec, store_of


def text(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def scores(scorer: PrefixCacheScorer, store: Datastore, asked: InferenceRequest) -> list[float]:
    found: list[float] = scorer.score(asked, everyone(store)).tolist()
    return found


def test_nothing_was_placed_yet() -> None:
    store = store_of(load(), load())
    assert scores(PrefixCacheScorer(store), store, request(text(1000))) == [0, 0]


def test_the_same_prompt_again_matches_where_it_went() -> None:
    store = store_of(load(), load())
    scorer = PrefixCacheScorer(store)
    scorer.placed(request(text(1000)), endpoint(store, 1))
    assert scores(scorer, store, request(text(1000))) == [0, 1]


def test_half_a_prompt() -> None:
    store = store_of(load(), load())
    scorer = PrefixCacheScorer(store)
    scorer.placed(request(text(1280)), endpoint(store, 0))
    assert scores(scorer, store, request(text(1280)[:640] + text(640, 1))) == [0.5, 0]


def test_a_prompt_that_was_only_scored_is_nowhere() -> None:
    store = store_of(load())
    scorer = PrefixCacheScorer(store)
    scores(scorer, store, request(text(1000)))
    assert scores(scorer, store, request(text(1000))) == [0]


@pytest.mark.parametrize("model", ["other", "lora"])
def test_another_model_shares_nothing(model: str) -> None:
    store = store_of(load())
    scorer = PrefixCacheScorer(store)
    scorer.placed(request(text(1000)), endpoint(store, 0))
    assert scores(scorer, store, request(text(1000), model)) == [0]
    assert scores(scorer, store, request(text(1000), "alias", target="base")) == [1], "the target counts"


def test_a_request_without_a_prompt() -> None:
    store = store_of(load(), load())
    scorer = PrefixCacheScorer(store)
    assert scores(scorer, store, request()) == [0, 0]
    scorer.placed(request(), endpoint(store, 0))
    assert len(store.prefixes) == 0


def test_an_endpoint_holds_what_fits_in_its_kv_cache() -> None:
    store = store_of(load(block_size=16, num_blocks=10), load())
    scorer = PrefixCacheScorer(store)
    for number in (0, 1):
        scorer.placed(request(text(1280)), endpoint(store, number))
    assert scores(scorer, store, request(text(1280))) == [0.5, 1]
    assert math.isnan(store.endpoints.cache_tokens[endpoint(store, 1).slot])


def test_placing_another_request_than_the_last_one_scored() -> None:
    store = store_of(load())
    scorer = PrefixCacheScorer(store)
    one, two = request(text(500, 1)), request(text(500, 2))
    scores(scorer, store, one)
    scorer.placed(two, endpoint(store, 0))
    assert scores(scorer, store, one) == [0]
    assert scores(scorer, store, two) == [1]


def test_what_the_chosen_endpoint_held_is_shown() -> None:
    store = store_of(load(), load())
    seen: list[tuple[int, int]] = []
    watcher = Watcher(prefix_matched=lambda hit, size: seen.append((hit, size)))
    scorer = PrefixCacheScorer(store, watcher)
    for prompt, number in ((text(1280), 0), (text(1280), 0), (text(640) + text(640, 1), 0), (text(1280), 1)):
        scorer.placed(request(prompt), endpoint(store, number))
    scorer.placed(request(), endpoint(store, 0))
    assert seen == [(0, 1280), (1280, 1280), (640, 1280), (0, 1280)]


def test_a_request_that_was_placed_is_forgotten() -> None:
    store = store_of(load())
    scorer = PrefixCacheScorer(store)
    asked = request(text(500))
    before = sys.getrefcount(asked)
    scorer.score(asked, everyone(store))
    scorer.placed(asked, endpoint(store, 0))
    assert sys.getrefcount(asked) == before


def test_it_wants_to_know_of_placements() -> None:
    assert isinstance(PrefixCacheScorer(store_of()), PlacementObserver)


def test_a_slot_that_is_used_again_holds_nothing() -> None:
    store = store_of(load())
    scorer = PrefixCacheScorer(store)
    scorer.placed(request(text(500)), endpoint(store, 0))
    store.apply(snapshot())
    store.apply(snapshot(spec(0)))
    assert scores(scorer, store, request(text(500))) == [0]
