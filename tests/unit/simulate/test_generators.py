"""Generated workloads: in order, of the rate asked for, by their seed, and shaped as they say."""

from __future__ import annotations

from collections import Counter

import pytest

from epp.simulate.generators import ADAPTERS, GENERATORS, generate
from epp.simulate.workload import Arrival, text


@pytest.mark.parametrize("name", GENERATORS)
def test_arrivals_are_in_order_at_the_rate_and_by_the_seed(name: str) -> None:
    arrivals = list(generate(name, 6000, rate=10.0, seed=1))
    times = [arrival.at for arrival in arrivals]
    assert len(arrivals) == 6000
    assert times == sorted(times)
    # Of the second half: chats have to begin first. 188 bursts of 16 have a standard deviation of 7 %.
    assert times[-1] - times[2999] == pytest.approx(300, rel=0.2)
    assert arrivals[:50] == list(generate(name, 50, rate=10.0, seed=1))
    assert arrivals[:50] != list(generate(name, 50, rate=10.0, seed=2))
    assert all(arrival.output_tokens >= 1 for arrival in arrivals)


def prompts(name: str, requests: int) -> list[Arrival]:
    return list(generate(name, requests, rate=10.0, seed=3))


def test_shared_prefixes_are_shared_by_a_group() -> None:
    groups = Counter(text(arrival.prompt)[:24_000] for arrival in prompts("shared-prefix", 300))
    assert 30 < len(groups) <= 150
    assert groups.most_common(1)[0][1] > 300 / 150 * 10


def test_a_turn_of_a_chat_has_all_before_it_as_its_prefix() -> None:
    arrivals = prompts("chat", 400)
    answers = {arrival.answer: arrival for arrival in arrivals}
    later = [arrival for arrival in arrivals if len(arrival.prompt) > 2]
    assert len(later) > 150
    for arrival in later:
        before = answers[arrival.prompt[-2].key]
        assert arrival.prompt[:-2] == before.prompt
        assert arrival.prompt[-2].tokens == before.output_tokens
        assert 5 <= arrival.at - before.at <= 60


def test_popularity_of_adapters_is_skewed() -> None:
    adapters = Counter(arrival.adapter for arrival in prompts("adapters", 2000))
    assert set(adapters) == ADAPTERS
    assert adapters["adapter-0"] > 10 * adapters["adapter-23"]


def test_bursts_are_of_sixteen() -> None:
    assert set(Counter(arrival.at for arrival in prompts("bursts", 160)).values()) == {16}


def test_a_few_prompts_are_very_long() -> None:
    lengths = sorted(arrival.prompt[0].tokens for arrival in prompts("heavy-tailed", 3000))
    assert lengths[0] >= 300
    assert lengths[1500] < 700
    assert lengths[-1] > 20_000
    assert lengths[-1] <= 100_000


def test_priorities_are_mixed() -> None:
    mix = Counter(arrival.priority for arrival in prompts("priorities", 2000))
    assert {priority: round(number / 2000, 1) for priority, number in mix.items()} == {
        1: 0.2,
        0: 0.3,
        -1: 0.5,
    }
