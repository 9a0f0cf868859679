"""The event loop against queues whose answers are known, and against itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import factorial

import pytest

from epp.plugins.expected_ttft_scorer import ExpectedTtftScorer
from epp.sim.engine import Engine, EngineConfig, EngineCounters, StepResult
from epp.sim.sequence import Sequence, SimRequest
from epp.simulate.picker import VirtualPicker
from epp.simulate.policies import load_policy
from epp.simulate.simulation import Outcome, Simulation
from epp.simulate.workload import Arrival, Piece
from epp.simulate.workloads import arrivals as draw

SLOW_SCRAPE = 1.0  # the queues below need no news


def poisson(rate: float, requests: int, seed: int, prompt: int = 1) -> Iterator[Arrival]:
    rng, at = random.Random(seed), 0.0
    for number in range(requests):
        at += rng.expovariate(rate)
        yield Arrival(at, (Piece(f"prompt {number}", prompt),), 1, f"answer {number}")


def mean_response(outcome: Outcome) -> float:
    times = [done.last_token_at - done.arrived_at for done in outcome.done]
    return sum(times) / len(times)


def picker(names: list[str], policy: str = "random", seed: int = 1, scrape: float = 0.05) -> VirtualPicker:
    return VirtualPicker(load_policy(policy), names, frozenset(), random.Random(seed), scrape)


@pytest.mark.parametrize("utilization", [0.3, 0.6])
def test_an_engine_that_takes_one_at_a_time_is_an_md1_queue(utilization: float) -> None:
    config = EngineConfig(max_num_seqs=1)
    service = config.step_time.step_seconds(0, 0, [(64, 0)])
    arrivals = poisson(utilization / service, 20_000, seed=1, prompt=64)
    outcome = Simulation(picker(["a"], scrape=SLOW_SCRAPE), {"a": Engine(config)}, arrivals).run()
    # Pollaczek-Khinchine: the wait of M/D/1 is half of M/M/1's.
    expected = service * (1 + utilization / (2 * (1 - utilization)))
    assert mean_response(outcome) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("utilization", [0.3, 0.9])
def test_each_request_of_an_md1_queue_ends_when_lindleys_recursion_says(utilization: float) -> None:
    config = EngineConfig(max_num_seqs=1)
    service = config.step_time.step_seconds(0, 0, [(64, 0)])
    arrivals = list(poisson(utilization / service, 2000, seed=1, prompt=64))
    outcome = Simulation(picker(["a"], scrape=SLOW_SCRAPE), {"a": Engine(config)}, arrivals).run()
    ends, free = [], 0.0
    for arrival in arrivals:
        free = max(free, arrival.at) + service
        ends.append(free)
    assert [done.last_token_at for done in outcome.done] == pytest.approx(ends, abs=1e-9)


class Exponential:
    """`channels` servers of rate 1 behind one queue, a chain of states looked at at rate `channels`.

    At each look one of the channels ends its service if it has one: uniformization of the M/M/k queue.
    """

    waiting = running = 0
    kv_usage = 0.0
    active_adapters: tuple[str, ...] = ()

    def __init__(self, channels: int, seed: int) -> None:
        self.config = EngineConfig()
        self.counters = EngineCounters()
        self._channels = channels
        self._rng = random.Random(seed)
        self._present: list[Sequence] = []
        self._looking = False
        self.due: float | None = None

    def submit(self, request: SimRequest, now: float) -> Sequence:
        self._present.append(Sequence(request, now))
        return self._present[-1]

    def step(self, now: float) -> StepResult:
        channel = self._rng.randrange(self._channels)
        finished = []
        if self._looking and channel < len(self._present):
            sequence = self._present.pop(channel)
            sequence.add_tokens(now)
            finished.append(sequence)
        self._looking = bool(self._present)
        self.due = now + self._rng.expovariate(self._channels) if self._looking else None
        return StepResult(self.due, finished, finished, 0)

    def leap(self) -> float | None:
        return self.due

    def catch_up(self, now: float) -> None: ...


def erlang_c(channels: int, load: float) -> float:
    """The chance that a request has to wait; `load` in erlangs."""
    last = load**channels / factorial(channels) * channels / (channels - load)
    return last / (sum(load**n / factorial(n) for n in range(channels)) + last)


@pytest.mark.parametrize(("channels", "utilization"), [(1, 0.4), (4, 0.7), (8, 0.6)])
def test_exponential_channels_are_an_mmk_queue(channels: int, utilization: float) -> None:
    load = channels * utilization
    arrivals = poisson(load, 20_000, seed=2)
    servers = {"a": Exponential(channels, seed=3)}
    outcome = Simulation(picker(["a"], scrape=SLOW_SCRAPE), servers, arrivals).run()
    expected = 1 + erlang_c(channels, load) / (channels - load)
    assert mean_response(outcome) == pytest.approx(expected, rel=0.02)


def test_a_request_alone_takes_its_prefill_and_its_decode_steps() -> None:
    config = EngineConfig()
    arrival = Arrival(1.0, (Piece("prompt", 1000),), 3, "answer")
    outcome = Simulation(picker(["a"]), {"a": Engine(config)}, [arrival]).run()
    (done,) = outcome.done
    step = config.step_time.step_seconds
    assert done.first_token_at == pytest.approx(1.0 + step(0, 0, [(1000, 0)]))
    assert done.last_token_at == pytest.approx(1.0 + step(0, 0, [(1000, 0)]) + step(1, 1001) + step(1, 1002))
    assert outcome.ended_at == done.last_token_at


def two_engines(policy: str, arrivals: list[Arrival], seed: int = 1) -> tuple[Outcome, VirtualPicker]:
    names = ["a", "b"]
    chosen = picker(names, policy, seed)
    return Simulation(chosen, {name: Engine(EngineConfig()) for name in names}, arrivals).run(), chosen


def trail(outcome: Outcome) -> list[tuple[str, float]]:
    return [(done.server, done.last_token_at) for done in outcome.done]


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    arrivals = list(poisson(30.0, 300, seed=4, prompt=500))
    first, again, other = (two_engines("random", arrivals, seed)[0] for seed in (1, 1, 2))
    assert trail(first) == trail(again)
    assert first.events == again.events
    assert trail(first) != trail(other)


def test_round_robin_takes_turns() -> None:
    arrivals = [Arrival(float(n), (Piece(f"{n}", 10),), 1, "") for n in range(4)]
    outcome, _ = two_engines("round-robin", arrivals)
    assert [done.server for done in outcome.done] == ["a", "b", "a", "b"]


def test_a_prompt_goes_where_its_prefix_is_and_what_it_held_is_given_back() -> None:
    arrivals = [Arrival(float(n), (Piece("shared", 3000), Piece(f"{n}", 100)), 5, f"{n}") for n in range(6)]
    outcome, chosen = two_engines("default", arrivals)
    assert len({done.server for done in outcome.done}) == 1
    assert [done.cached_tokens for done in outcome.done] == [0] + [2992] * 5
    assert chosen.store.endpoints.in_flight.sum() == 0


def test_an_answer_is_a_prefix_of_the_next_turn() -> None:
    opening = Piece("opening", 320)
    arrivals = [
        Arrival(0.0, (opening,), 160, "first answer"),
        Arrival(5.0, (opening, Piece("first answer", 160), Piece("more", 16)), 1, "second answer"),
    ]
    outcome, _ = two_engines("default", arrivals)
    assert outcome.done[1].cached_tokens == 464  # the answer's last token was never computed on


def test_sheddable_requests_are_refused_when_the_pool_is_full() -> None:
    flood = [Arrival(0.001 * n, (Piece(f"{n}", 8000),), 400, f"{n}") for n in range(120)]
    late = [
        Arrival(2.0, (Piece("late", 10),), 1, "sheddable", priority=-1),
        Arrival(2.0, (Piece("late", 10),), 1, "not sheddable"),
    ]
    outcome, _ = two_engines("round-robin", flood + late)
    assert [arrival.answer for arrival in outcome.refused] == ["sheddable"]
    assert len(outcome.done) == 121


def test_a_request_beyond_the_kv_cache_is_impossible() -> None:
    arrival = Arrival(0.0, (Piece("long", 500_000),), 1, "")
    outcome, chosen = two_engines("default", [arrival])
    assert outcome.impossible == [arrival]
    assert chosen.store.endpoints.in_flight.sum() == 0
    [scorer] = [each for each in chosen.policy.plugins if isinstance(each, ExpectedTtftScorer)]
    assert repr(scorer._backlogs).startswith("<Backlogs of 0 requests "), "nothing waits for its first token"


def test_progress_is_told() -> None:
    told: list[tuple[float, int]] = []
    arrivals = [Arrival(at, (Piece(f"{at}", 10),), 1, "") for at in (0.0, 250.0)]
    Simulation(
        picker(["a"]), {"a": Engine(EngineConfig())}, arrivals, progress=lambda *news: told.append(news)
    ).run()
    # A sample every 0.1 s, from 51.2 s on every 0.2 s, from 102.4 s on every 0.4 s; and a few events.
    assert told == [(pytest.approx(192, abs=3), 1)]


def test_no_engine_has_more_than_an_endless_shared_cache() -> None:
    arrivals = list(draw("chat:think=0.1-5", 200, 20.0, seed=1))  # turns that overtake answers, too
    outcome, _ = two_engines("sticky-until-saturated", arrivals)
    cached = sum(done.cached_tokens for done in outcome.done)
    assert 0.5 * outcome.ideal_cached_tokens < cached <= outcome.ideal_cached_tokens


def test_what_an_endless_shared_cache_would_have_had() -> None:
    arrivals = [Arrival(float(n), (Piece("shared", 3000), Piece(f"{n}", 100)), 5, f"{n}") for n in range(6)]
    outcome, _ = two_engines("round-robin", arrivals)
    assert (outcome.prompt_tokens, outcome.ideal_cached_tokens) == (6 * 3100, 5 * 3000)
    assert sum(done.cached_tokens for done in outcome.done) == 4 * 2992  # each engine had to see it once
    assert {(done.prompt_tokens, done.priority) for done in outcome.done} == {(3100, 0)}


def test_the_timeline_shows_each_engine() -> None:
    arrivals = [Arrival(0.05, (Piece("long", 8000),), 200, "answer")]
    outcome, _ = two_engines("round-robin", arrivals)
    timeline = outcome.timeline
    assert timeline.servers == ("a", "b")
    assert timeline.times[-1] == pytest.approx(outcome.ended_at, abs=0.1)
    assert timeline.running[:, 0].tolist() == [0] + [1] * (len(timeline.times) - 1)
    assert not timeline.running[:, 1].any()
    assert timeline.kv_usage[-1, 0] > timeline.kv_usage[1, 0] > 0
    assert timeline.prefix_queries[-1].tolist() == [8000, 0]
