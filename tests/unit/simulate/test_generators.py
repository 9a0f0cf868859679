"""Generated workloads: in order, of the rate asked for, by their seed, and shaped as they say."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from statistics import mean, median

import pytest

from epp.simulate.draw import Draw
from epp.simulate.generators import (
    GENERATORS,
    Adapters,
    Agents,
    Bursts,
    Chat,
    Generator,
    Priorities,
    SharedPrefix,
    ShareGpt,
    Waves,
)
from epp.simulate.workload import Arrival, text


def drawn(generator: Generator, requests: int, rate: float = 10.0, seed: int = 3) -> list[Arrival]:
    return list(islice(generator.arrivals(random.Random(seed), rate), requests))


@pytest.mark.parametrize("name", GENERATORS)
def test_arrivals_are_in_order_at_the_rate_and_by_the_seed(name: str) -> None:
    arrivals = drawn(GENERATORS[name], 6000)
    times = [arrival.at for arrival in arrivals]
    assert len(arrivals) == 6000
    assert times == sorted(times)
    # 375 bursts of 16 have a standard deviation of 5 %, 8 waves a larger one.
    assert times[-1] == pytest.approx(600, rel=0.25)
    assert arrivals[:50] == drawn(GENERATORS[name], 50)
    assert arrivals[:50] != drawn(GENERATORS[name], 50, seed=4)
    assert all(arrival.output_tokens >= 1 for arrival in arrivals)
    assert len({arrival.answer for arrival in arrivals}) == 6000


def test_shared_prefixes_are_shared_by_a_group() -> None:
    groups = Counter(text(arrival.prompt)[:24_000] for arrival in drawn(SharedPrefix(), 300))
    assert 30 < len(groups) <= 150
    assert groups.most_common(1)[0][1] > 300 / 150 * 10


def test_without_skew_all_groups_are_alike() -> None:
    groups = Counter(arrival.prompt[0] for arrival in drawn(SharedPrefix(groups=10, skew=0.0), 2000))
    assert len(groups) == 10
    assert max(groups.values()) < 1.3 * min(groups.values())


def test_questions_may_come_again() -> None:
    arrivals = drawn(GENERATORS["llm-d-c"], 10_000)
    assert len({arrival.prompt for arrival in arrivals}) == 150 * 5
    assert len({arrival.prompt for arrival in drawn(SharedPrefix(), 3000)}) == 3000


def test_priorities_are_mixed() -> None:
    mix = Counter(arrival.priority for arrival in drawn(Priorities(), 2000))
    assert {each: round(number / 2000, 1) for each, number in mix.items()} == {1: 0.2, 0: 0.3, -1: 0.5}


def test_bursts_come_at_one_moment() -> None:
    assert set(Counter(arrival.at for arrival in drawn(Bursts(), 160)).values()) == {16}
    assert set(Counter(arrival.at for arrival in drawn(Bursts(size=3), 30)).values()) == {3}


def test_waves_have_busy_seconds_and_calm_ones() -> None:
    seconds = Counter(int(arrival.at) for arrival in drawn(Waves(), 20_000, rate=100.0))
    counts = sorted(seconds.values())
    # 100 a second on average: 62.5 when calm, four times as many when busy.
    assert median(counts) == pytest.approx(62.5, rel=0.15)
    assert counts[-5] > 220


def test_a_turn_of_a_chat_has_all_before_it_as_its_prefix() -> None:
    arrivals = drawn(Chat(), 1000)
    answers = {arrival.answer: arrival for arrival in arrivals}
    later = [arrival for arrival in arrivals if len(arrival.prompt) > 2]
    assert len(later) > 150
    for arrival in later:
        before = answers[arrival.prompt[-2].key]
        assert arrival.prompt[:-2] == before.prompt
        assert arrival.prompt[-2].tokens == before.output_tokens
        assert 5 <= arrival.at - before.at <= 60


def test_an_agent_goes_on_when_its_answer_and_its_tool_are_done() -> None:
    arrivals = drawn(Agents(tool=Draw("2")), 3000)
    answers = {arrival.answer: arrival for arrival in arrivals}
    later = [arrival for arrival in arrivals if len(arrival.prompt) > 2]
    for arrival in later:
        before = answers[arrival.prompt[-2].key]
        assert arrival.at - before.at == pytest.approx(0.5 + 0.02 * before.output_tokens + 2)


def test_an_agents_context_grows_up_to_its_limit() -> None:
    arrivals = drawn(Agents(), 20_000)
    contexts = [sum(piece.tokens for piece in each.prompt) + each.output_tokens for each in arrivals]
    assert min(contexts) > 8000
    assert 90_000 < max(contexts) <= 100_000
    results = [each.prompt[-1].tokens for each in arrivals if len(each.prompt) > 2]
    assert median(results) == pytest.approx(400, rel=0.15)
    assert mean(results) > 2 * median(results)  # of very different lengths
    assert mean(each.output_tokens for each in arrivals) == pytest.approx(100, rel=0.05)


def test_lengths_of_sharegpt() -> None:
    arrivals = drawn(ShareGpt(), 30_000)
    prompts = [arrival.prompt[0].tokens for arrival in arrivals]
    assert mean(prompts) == pytest.approx(161, rel=0.05)
    assert mean(arrival.output_tokens for arrival in arrivals) == pytest.approx(338, rel=0.05)
    assert median(prompts) < 60
    assert len({arrival.prompt[0].key for arrival in arrivals}) == 30_000


def test_popularity_of_adapters_is_skewed() -> None:
    adapters = Counter(arrival.adapter for arrival in drawn(Adapters(), 2000))
    assert set(adapters) == Adapters().names
    assert adapters["adapter-0"] > 10 * adapters["adapter-23"]


def test_the_base_model_beside_adapters() -> None:
    arrivals = drawn(Adapters(adapters=3, base=0.25), 2000)
    bare = [arrival for arrival in arrivals if not arrival.adapter]
    assert len(bare) / 2000 == pytest.approx(0.25, rel=0.1)
    assert {arrival.prompt[0].key for arrival in bare} == {"base"}


def test_a_few_prompts_are_very_long() -> None:
    lengths = sorted(arrival.prompt[0].tokens for arrival in drawn(GENERATORS["heavy-tailed"], 3000))
    assert lengths[0] >= 300
    assert lengths[1500] < 700
    assert lengths[-1] > 20_000
    assert lengths[-1] <= 100_000
