"""prefix-cache-affinity-filter: where the prompt is held, until waiting there costs too much."""

from __future__ import annotations

import pytest

from epp.datastore.store import Datastore
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.plugins.prefix_cache_affinity_filter import PrefixCacheAffinityFilter
from epp.types import InferenceRequest
from tests.plugins import Surroundings
from tests.pools import endpoint, everyone, request, store_of, who_stays

PROMPT = bytes(range(1, 251)) * 40  # 10,000 bytes that do not repeat within a block
EVERYONE = ["pod-0", "pod-1", "pod-2"]


def held(store: Datastore, plugin: PrefixCacheAffinityFilter, **prompts: bytes) -> PrefixCacheAffinityFilter:
    """`plugin` in a pool whose endpoints hold `prompts`."""
    context = Surroundings(store)
    producer = context.shared(ApproxPrefixCacheProducer)
    for name, prompt in prompts.items():
        producer.placed(request(prompt), store.endpoints.by_name[name.replace("_", "-")], "default")
    return context.set_up(plugin)


def stays(plugin: PrefixCacheAffinityFilter, store: Datastore, asked: InferenceRequest) -> list[str]:
    candidates = everyone(store)
    return who_stays(plugin.filter(asked, candidates), candidates)


def test_those_that_hold_the_prompt_stay() -> None:
    store = store_of(None, None, None)
    sticky = held(store, PrefixCacheAffinityFilter(), pod_1=PROMPT)
    assert stays(sticky, store, request(PROMPT)) == ["pod-1"]
    assert stays(sticky, store, request(b"another" * 1000)) == EVERYONE
    assert stays(sticky, store, request()) == EVERYONE


@pytest.mark.parametrize(("threshold", "stay"), [(0.4, ["pod-0"]), (0.6, EVERYONE), (0.0, EVERYONE)])
def test_how_much_they_have_to_hold(threshold: float, stay: list[str]) -> None:
    store = store_of(None, None, None)
    sticky = held(store, PrefixCacheAffinityFilter(threshold), pod_0=PROMPT[:5000])
    assert stays(sticky, store, request(PROMPT)) == stay


@pytest.mark.parametrize(
    ("tokens", "stay"),
    [
        # At 1,000 tokens a second the penalty of 2 s is 2,000 tokens more than on the least busy other.
        ((2000, 5000, 0), ["pod-0"]),
        ((2001, 5000, 0), EVERYONE),
        ((2501, 5000, 500), EVERYONE),
        ((2500, 5000, 500), ["pod-0"]),
        ((0, 5000, 9000), ["pod-0"]),
    ],
)
def test_it_lets_go_where_waiting_costs_more_than_the_penalty(
    tokens: tuple[int, ...], stay: list[str]
) -> None:
    store = store_of(None, None, None)
    for number, each in enumerate(tokens):
        store.reserve(endpoint(store, number), each, "base")
    plugin = PrefixCacheAffinityFilter(max_ttft_penalty_ms=2000, peak_prefill_throughput=1000)
    assert stays(held(store, plugin, pod_0=PROMPT), store, request(PROMPT)) == stay
    forever = PrefixCacheAffinityFilter(max_ttft_penalty_ms=0, peak_prefill_throughput=1000)
    assert stays(held(store, forever, pod_0=PROMPT), store, request(PROMPT)) == ["pod-0"]


def test_the_least_busy_of_those_that_hold_it_counts() -> None:
    store = store_of(None, None, None)
    for number, tokens in ((0, 9000), (1, 1500)):
        store.reserve(endpoint(store, number), tokens, "base")
    plugin = PrefixCacheAffinityFilter(max_ttft_penalty_ms=2000, peak_prefill_throughput=1000)
    assert stays(held(store, plugin, pod_0=PROMPT, pod_1=PROMPT), store, request(PROMPT)) == [
        "pod-0",
        "pod-1",
    ]


def test_a_part_of_the_requests_explores_evenly_spread() -> None:
    store = store_of(None, None, None)
    sticky = held(store, PrefixCacheAffinityFilter(exploration_probability=0.1), pod_1=PROMPT)
    explored = [stays(sticky, store, request(PROMPT)) == EVERYONE for _ in range(1000)]
    assert sum(explored) == pytest.approx(100, abs=2)
    assert all(5 <= sum(explored[at : at + 100]) <= 15 for at in range(0, 1000, 100))


def test_always_and_never() -> None:
    store = store_of(None, None, None)
    always = held(store, PrefixCacheAffinityFilter(exploration_probability=1.0), pod_1=PROMPT)
    assert {tuple(stays(always, store, request(PROMPT))) for _ in range(100)} == {tuple(EVERYONE)}


def test_one_candidate_and_none() -> None:
    for size in (1, 0):
        store = store_of(*[None] * size)
        sticky = held(store, PrefixCacheAffinityFilter())
        assert stays(sticky, store, request(PROMPT)) == EVERYONE[:size]
