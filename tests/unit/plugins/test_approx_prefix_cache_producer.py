"""approx-prefix-cache-producer: blocks as the engine has them or as the reference cuts them."""

from __future__ import annotations

import numpy as np
import pytest

from epp.datastore.store import Datastore
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from tests.plugins import set_up
from tests.pools import endpoint, everyone, load, request, snapshot, spec, store_of


def text(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def match(producer: ApproxPrefixCacheProducer, store: Datastore, prompt: bytes) -> tuple[list[float], int]:
    matched, size = producer.match(request(prompt), everyone(store))
    return matched.tolist(), size


def placed(producer: ApproxPrefixCacheProducer, store: Datastore, prompt: bytes, number: int = 0) -> None:
    producer.placed(request(prompt), endpoint(store, number), "default")


@pytest.mark.parametrize(
    ("parameters", "size", "counted"),
    [
        ({}, 100_000, 100_000),  # all of it
        ({"block_size_tokens": 16}, 100_000, 16_384),  # the reference's 256 blocks of 64 bytes
        ({"block_size_tokens": 16}, 100, 64),  # the rest does not count
        ({"block_size_tokens": 64}, 100_000, 65_536),
        ({"max_prefix_blocks_to_match": 10}, 100_000, 640),
        ({"max_prefix_tokens_to_match": 100}, 100_000, 384),  # six whole blocks of 16 tokens
        ({"block_size": 640}, 1000, 1000),  # passed over
    ],
)
def test_how_much_of_a_prompt_counts(parameters: dict[str, int], size: int, counted: int) -> None:
    store = store_of(load())
    producer = set_up(ApproxPrefixCacheProducer(**parameters), store)  # type: ignore[arg-type]
    assert match(producer, store, text(size)) == ([0], counted)
    placed(producer, store, text(size))
    assert match(producer, store, text(size)) == ([counted], counted)


@pytest.mark.parametrize(
    ("auto_tune", "held"),
    [(True, 1024), (False, 1088)],  # whole blocks of 128 tokens, or of 16
)
def test_the_smallest_block_of_an_engine_is_the_first(auto_tune: bool, held: float) -> None:
    store = store_of(load(block_size=256, num_blocks=10), load(block_size=128, num_blocks=10))
    producer = set_up(ApproxPrefixCacheProducer(auto_tune=auto_tune), store)
    placed(producer, store, text(1100) + b"a" * 900)
    assert match(producer, store, text(1100) + b"b" * 900) == ([held, 0], 2000)


def test_an_endpoint_holds_what_it_says_fits() -> None:
    store = store_of(load(block_size=16, num_blocks=5), load())
    for auto_tune, held in ((True, [320, 640]), (False, [640, 640])):
        producer = set_up(ApproxPrefixCacheProducer(auto_tune=auto_tune), store)
        for number in (0, 1):
            placed(producer, store, text(640), number)
        assert match(producer, store, text(640)) == (held, 640)


def test_one_that_does_not_say_holds_what_the_parameters_say() -> None:
    store = store_of(load())
    producer = set_up(ApproxPrefixCacheProducer(lru_capacity_per_server=4), store)
    placed(producer, store, text(640))
    assert match(producer, store, text(640)) == ([256], 640)
    assert producer.blocks_held == 4


def test_an_endpoint_that_left_holds_nothing() -> None:
    store = store_of(load())
    producer = set_up(ApproxPrefixCacheProducer(), store)
    store.departed = producer.left
    placed(producer, store, text(640))
    store.apply(snapshot())
    assert producer.blocks_held == 0
    store.apply(snapshot(spec(0)))
    assert match(producer, store, text(640)) == ([0], 640)
