"""expected-ttft-scorer: seconds to the first token, by hand; nothing is kept of requests that are over."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from epp.config.picker import load_picker_config
from epp.config.picker_config import PickerConfig
from epp.extproc.exchange import Place
from epp.placement import Placement
from epp.plugins.expected_ttft_scorer import ExpectedTtftScorer
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.build import build_policy
from epp.scheduling.policy import Policy
from epp.types import InferenceRequest, LoadSample, Usage
from epp.wire.messages import NO_CONTEXT
from tests.pickers import Picker, at_once, body_of
from tests.plugins import Surroundings
from tests.pools import NOW, endpoint, load, request, snapshot, spec, store_of

IDLE = load(0, 0.0)
THOUSAND = 0.02 + 0.1  # seconds for a prompt of 1,000 tokens, before anything was learned


class Story:
    """A scorer over a pool, told of requests as the picker tells it."""

    def __init__(self, *loads: LoadSample | None, disturbance: float = 0.0, crowd: float = 0.0) -> None:
        self.store = store_of(*loads)
        self.context = Surroundings(self.store)
        self.scorer = self.context.set_up(ExpectedTtftScorer(disturbance, crowd))
        self.now = NOW
        self._prompts = 0

    def asked(self, tokens: int = 1000, stream: bool = True, model: str = "base") -> InferenceRequest:
        """For a prompt that nobody has seen."""
        self._prompts += 1
        made = request(self._prompts.to_bytes(4) * tokens, model)
        made.body = msgspec.structs.replace(made.body, stream=stream)
        return made

    def scores(self, asked: InferenceRequest, *numbers: int) -> list[float]:
        subset = frozenset(spec(number).host for number in numbers) if numbers else None
        found: list[float] = self.scorer.score(asked, self.store.candidates(subset, self.now)).tolist()
        return found

    def terms(self, name: str, asked: InferenceRequest | None = None) -> list[float]:
        """One of the terms, of each candidate."""
        self.scores(asked or self.asked())
        found: list[float] = self.scorer.terms()[name].tolist()
        return found

    def place(self, number: int, asked: InferenceRequest | None = None) -> InferenceRequest:
        asked = asked or self.asked()
        self.scores(asked)
        for plugin in (self.scorer, *self.context.plugins.values()):
            plugin.placed(asked, endpoint(self.store, number), "default")  # type: ignore[attr-defined]
        return asked

    def begins(self, asked: InferenceRequest, number: int) -> None:
        self.scorer.first_token(asked, endpoint(self.store, number), self.now)

    def ends(self, asked: InferenceRequest, number: int, output: int = 0) -> None:
        self.scorer.ended(asked, endpoint(self.store, number), self.now)
        if output:
            self.scorer.used(asked, Usage(1000, output))

    @property
    def kept(self) -> int:
        """Requests of which anything is kept."""
        return kept(self.scorer)


def kept(scorer: ExpectedTtftScorer) -> int:
    of_queues = sum(len(queue.works) for queue in scorer._backlogs._queues.values())
    return len(scorer._backlogs._works) + of_queues + len(scorer._begun_at)


class TestTerms:
    def test_prefill_of_what_is_not_cached(self) -> None:
        story = Story(IDLE, IDLE)
        assert story.terms("prefill s") == pytest.approx([THOUSAND, THOUSAND])
        asked = story.asked(1024)
        assert story.terms("uncached tokens", asked) == [1024.0, 1024.0]
        story.place(1, asked)
        again = request(bytes(asked.body.prompt.parts[0]))
        uncached = story.terms("uncached tokens", again)
        assert uncached == [1024.0, 1.0], "the last token is always computed"
        assert story.terms("prefill s", again) == pytest.approx([0.02 + 0.1024, 0.02 + 0.0001])

    def test_the_queue_is_what_was_sent_there(self) -> None:
        story = Story(IDLE, IDLE)
        first = story.place(0)
        assert story.terms("queue s") == pytest.approx([THOUSAND, 0.0])
        story.now += 0.05
        second = story.place(0)
        assert story.terms("queue s") == pytest.approx([2 * THOUSAND - 0.05, 0.0])
        story.now += 0.01
        story.begins(first, 0)
        assert story.terms("queue s") == pytest.approx([THOUSAND, 0.0])
        story.ends(second, 0)
        assert story.terms("queue s") == pytest.approx([0.0, 0.0])

    def test_the_queue_of_requests_that_others_sent(self) -> None:
        """Three wait, of which one is ours: the others need as long as ours usually do."""
        story = Story(load(3, 0.0), IDLE)
        assert story.terms("queue s") == pytest.approx([3 * 0.1, 0.0])
        story.place(0)
        usual = (0.99 * 0.1 + THOUSAND) / 1.99
        assert story.terms("queue s") == pytest.approx([THOUSAND + 2 * usual, 0.0])

    def test_where_nobody_tells_the_longest_queue_is_taken(self) -> None:
        assert Story(load(3, 0.0), None, IDLE).terms("queue s") == pytest.approx([0.3, 0.3, 0.0])
        assert Story(None, None).terms("queue s") == [0.0, 0.0]
        assert Story(None, None).scores(request(b"x" * 400)) == [1.0, 1.0]

    def test_a_full_cache_is_given_back_once_in_the_duration_of_an_answer(self) -> None:
        """16,000 tokens in 2 s. Of the free 1,600 a request takes 1,000, and the next lacks 400."""
        full = LoadSample(0, 0, 0.9, 16, 1000)
        roomy = LoadSample(0, 0, 0.1, 16, 1000)
        story = Story(full, roomy, IDLE)  # the last does not tell its size
        assert story.terms("memory s") == story.terms("squeeze s") == [0.0, 0.0, 0.0]
        story.place(0)
        assert story.terms("memory s") == pytest.approx([400 / 16_000 * 2.0, 0.0, 0.0])
        assert story.terms("squeeze s") == pytest.approx([1000 / 16_000 * 2.0, 0.0, 0.0])

    def test_disturbance_and_crowd(self) -> None:
        story = Story(IDLE, IDLE, disturbance=0.5, crowd=0.25)
        held = [story.store.reserve(endpoint(story.store, number), 1, "base") for number in (0, 0, 0, 1)]
        assert story.terms("disturbance s") == pytest.approx([3 * 0.5 * THOUSAND, 0.5 * THOUSAND])
        # An answer takes 2 s until it is known better, and 2 in flight are the mean.
        assert story.terms("crowd s") == pytest.approx([3 / 2 * 0.25 * 2.0, 1 / 2 * 0.25 * 2.0])
        for reservation in held:
            reservation.release()
        assert story.terms("crowd s") == story.terms("disturbance s") == [0.0, 0.0]

    def test_the_score_is_the_least_cost_over_the_cost(self) -> None:
        story = Story(IDLE, load(1, 0.0), disturbance=0.5, crowd=0.25)
        story.store.reserve(endpoint(story.store, 0), 1, "base")
        costs = [THOUSAND + 0.5 * THOUSAND + 0.25 * 2.0, 0.1 + THOUSAND]
        assert story.scores(story.asked()) == pytest.approx([1.05 * costs[1] / costs[0], 1.0])

    def test_how_long_answers_take_is_learned(self) -> None:
        story = Story(IDLE, crowd=1.0)
        story.store.reserve(endpoint(story.store, 0), 1, "base")
        asked = story.place(0)
        story.begins(asked, 0)
        story.now += 6.0
        story.ends(asked, 0)
        assert story.terms("crowd s") == pytest.approx([(0.99 * 2.0 + 6.0) / 1.99])

    def test_one_candidate_and_none(self) -> None:
        story = Story(IDLE, IDLE)
        assert story.scores(story.asked(), 1) == [1.0]
        assert story.scores(story.asked(), 7) == []
        assert Story().scores(request()) == []

    def test_before_any_request_there_are_none(self) -> None:
        assert Story(IDLE).scorer.terms() == {}

    def test_a_request_without_a_prompt(self) -> None:
        story = Story(IDLE, load(2, 0.0))
        assert story.terms("prefill s", request()) == [0.0, 0.0]
        assert story.scores(request()) == pytest.approx([1.0, 1.05 * 0.001 / 0.2])
        story.place(0, request())
        assert story.kept == 0, "nothing is to be prefilled"

    def test_costs_within_five_per_cent_are_as_good(self) -> None:
        story = Story(IDLE, IDLE, IDLE, crowd=1.0)
        for number, requests in ((0, 100), (1, 102), (2, 120)):
            for _ in range(requests):
                story.store.reserve(endpoint(story.store, number), 1, "base")
        scores = story.scores(story.asked())
        assert scores[:2] == [1.0, 1.0]
        assert scores[2] < 1.0


class TestAdapters:
    def pool(self) -> Story:
        """At hand in the first; the second has a free slot, the third none, the last does not list it."""
        loads = [load(0, 0.0, "ours", max_lora=1), IDLE, load(0, 0.0, "other", max_lora=1), IDLE]
        story = Story(*loads)
        for number in range(3):
            story.store.models_listed(f"pod-{number}", frozenset({"base"}), frozenset({"ours", "other"}))
        story.store.models_listed("pod-3", frozenset({"base"}), frozenset())
        story.store.reserve(endpoint(story.store, 2), 1, "other")
        return story

    def test_the_steps_in_seconds(self) -> None:
        story = self.pool()
        assert story.terms("adapter s", story.asked(model="ours")) == [0.0, 0.1, 1.0, 3601.0]
        assert story.terms("adapter s", story.asked(model="base")) == [0.0] * 4

    @pytest.mark.parametrize(
        ("number", "told"), [(1, [(0.99 * 0.1 + 3.0) / 1.99, 1.0]), (2, [0.1, 3.99 / 1.99])]
    )
    def test_they_are_learned_and_not_taken_for_slow_prefill(self, number: int, told: list[float]) -> None:
        story = self.pool()
        asked = story.place(number, story.asked(model="ours"))
        story.now += THOUSAND + 3.0
        story.begins(asked, number)
        assert story.terms("adapter s", story.asked(model="ours"))[1:3] == pytest.approx(told)
        assert story.terms("prefill s") == pytest.approx([THOUSAND] * 4)


class TestLearning:
    def test_a_slow_endpoint_is_told_apart(self) -> None:
        story = Story(IDLE, IDLE)
        for _ in range(12):
            one, other = story.place(0), story.place(1)
            story.now += THOUSAND
            story.begins(one, 0)
            story.now += 2 * THOUSAND
            story.begins(other, 1)
            story.ends(one, 0)
            story.ends(other, 1)
        fast, slow = story.terms("prefill s")
        assert slow > 1.8 * fast
        assert story.scores(story.asked())[0] == 1.0
        assert story.kept == 0

    def test_answers_that_come_as_a_whole_tell_speeds_too(self) -> None:
        story = Story(IDLE, IDLE)
        for _ in range(12):
            one, other = story.asked(stream=False), story.asked(stream=False)
            story.place(0, one)
            story.place(1, other)
            story.now += THOUSAND + 1.0
            story.ends(one, 0, output=50)
            story.now += 2 * (THOUSAND + 1.0)
            story.ends(other, 1, output=50)
        fast, slow = story.terms("prefill s")
        assert slow > 1.8 * fast
        assert story.kept == 0

    @pytest.mark.parametrize("output", [0, 50])
    def test_a_stream_that_never_began_teaches_nothing(self, output: int) -> None:
        story = Story(IDLE)
        asked = story.place(0)
        story.now += 60.0
        story.ends(asked, 0, output)
        assert story.terms("prefill s") == pytest.approx([THOUSAND])
        assert story.kept == 0

    def test_an_answer_of_another_endpoint_than_the_one_picked_teaches_nothing(self) -> None:
        story = Story(IDLE, IDLE)
        asked = story.place(0)
        story.now += 60.0
        story.begins(asked, 1)
        assert story.terms("prefill s") == pytest.approx([THOUSAND, THOUSAND])
        assert story.terms("queue s") == [0.0, 0.0]
        story.ends(asked, 1)
        whole = story.place(0, story.asked(stream=False))
        story.now += 60.0
        story.ends(whole, 1, output=5)
        assert story.terms("prefill s") == pytest.approx([THOUSAND, THOUSAND])
        assert story.kept == 0


class TestRequestsOfNobody:
    def test_one_that_another_policy_placed(self) -> None:
        story = Story(IDLE)
        unknown = story.asked()
        story.begins(unknown, 0)
        story.ends(unknown, 0, output=5)
        assert story.terms("queue s") == [0.0]
        assert story.kept == 0

    def test_one_that_was_scored_and_not_placed(self) -> None:
        story = Story(IDLE)
        story.scores(story.asked())
        story.scorer.placed(story.asked(), endpoint(story.store, 0), "default")
        assert story.kept == 0

    def test_an_endpoint_of_another_profile(self) -> None:
        story = Story(IDLE, IDLE, IDLE)
        for number, candidate in ((2, 0), (0, 2)):
            asked = story.asked()
            story.scores(asked, candidate)
            story.scorer.placed(asked, endpoint(story.store, number), "other")
            assert story.kept == 0

    def test_the_same_object_again(self) -> None:
        """`id` of a request that is over, without anybody having told, is that of another now."""
        story = Story(IDLE, IDLE)
        asked = story.place(0)
        story.place(1, asked)
        assert story.terms("queue s") == pytest.approx([0.0, THOUSAND], abs=2e-2)
        story.ends(asked, 1)
        assert story.terms("queue s") == [0.0, 0.0]
        assert story.kept == 0


class TestLeft:
    def test_requests_of_an_endpoint_that_left_do_not_touch_the_slots_new_owner(self) -> None:
        story = Story(IDLE, IDLE)
        gone = endpoint(story.store, 1)
        slot = gone.slot
        before, after = story.place(1), story.asked()
        story.store.departed = story.scorer.left
        story.store.apply(snapshot(spec(0)))
        story.store.apply(snapshot(spec(0), spec(7)))
        assert endpoint(story.store, 7).slot == slot
        assert story.terms("queue s") == [0.0, 0.0]
        story.place(7, after)
        story.now += 0.01
        story.scorer.first_token(before, gone, story.now)
        story.scorer.ended(before, gone, story.now)
        assert sorted(story.terms("queue s")) == pytest.approx([0.0, THOUSAND - 0.01])
        story.ends(after, 7)
        assert story.kept == 0

    def test_before_any_request(self) -> None:
        story = Story(IDLE)
        story.scorer.left(0)
        assert story.terms("prefill s") == pytest.approx([THOUSAND])


# In a whole picker ------------------------------------------------------------------------------------------

TEXT = """apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: expected-ttft-scorer
  parameters: {crowdWeight: %s}
- type: %s
schedulingProfiles:
- name: default
  plugins: [{pluginRef: expected-ttft-scorer}, {pluginRef: %s}]
"""


def configured(crowd_weight: float = 0.1, other: str = "queue-scorer") -> PickerConfig:
    return load_picker_config(TEXT % (crowd_weight, other, other), "test.yaml", OWN_TYPES)


def scorer_of(policy: Policy) -> ExpectedTtftScorer:
    [found] = [each.plugin for each in policy.made if isinstance(each.plugin, ExpectedTtftScorer)]
    assert isinstance(found, ExpectedTtftScorer)
    return found


def place(picker: Picker, number: int = 0, stream: bool = True) -> Placement:
    asked = Place(((":path", "/v1/completions"),), {}, body_of(prompt=f"{number} " * 200, stream=stream))
    return at_once(picker.director.place(asked, picker.clock()))


def answer(placement: Placement, stream: bool = True) -> None:
    kind = "text/event-stream" if stream else "application/json"
    placement.response_headers(((":status", "200"), ("content-type", kind)), NO_CONTEXT)
    usage = b'{"usage":{"prompt_tokens":100,"completion_tokens":7}}'
    placement.response_body(b"data: " + usage + b"\n\n" if stream else usage, not stream)


def test_a_decision_shows_the_terms() -> None:
    picker = Picker(IDLE, load(3, 0.0), config=configured())
    placement = place(picker)
    place(picker, 1)
    told = picker.decisions.latest(2)
    names = {"uncached tokens"} | {
        f"{term} s" for term in ("queue", "prefill", "adapter", "memory", "disturbance", "crowd", "squeeze")
    }
    for decision in told:
        for candidate in decision["candidates"]:
            assert set(candidate["terms"]) == {"expected-ttft-scorer"}
            assert set(candidate["terms"]["expected-ttft-scorer"]) == names
    by_address = {each["address"]: each["terms"]["expected-ttft-scorer"] for each in told[1]["candidates"]}
    assert by_address[placement.destination]["queue s"] == 0.0, "as it was when it was decided"
    by_address = {each["address"]: each["terms"]["expected-ttft-scorer"] for each in told[0]["candidates"]}
    assert by_address[placement.destination]["queue s"] > 0.0


def test_a_reload_keeps_what_was_learned_and_the_requests_in_flight() -> None:
    picker = Picker(IDLE, IDLE, config=configured())
    scorer = scorer_of(picker.policy)
    held = [place(picker, number) for number in range(4)]
    config = configured(other="kv-cache-utilization-scorer")
    same = build_policy(config, picker.store, 2.0, previous=picker.policy)
    picker.director.use(same)
    assert scorer_of(same) is scorer
    assert kept(scorer) == 2 * 4
    picker.clock.now += 1.0
    for placement in held:
        answer(placement)
        placement.response_ended()
    assert kept(scorer) == 0


def test_requests_that_end_after_another_scorer_took_over_are_ended_at_their_own() -> None:
    picker = Picker(IDLE, IDLE, config=configured())
    old = scorer_of(picker.policy)
    held = [place(picker, number) for number in range(4)]
    changed = build_policy(configured(crowd_weight=0.2), picker.store, 2.0, previous=picker.policy)
    picker.director.use(changed)
    new = scorer_of(changed)
    assert new is not old
    held.append(place(picker, 9))
    assert (kept(old), kept(new)) == (2 * 4, 2)
    for placement in held:
        answer(placement)
        picker.director.finish(placement)
    assert (kept(old), kept(new)) == (0, 0)


def test_thousands_of_requests_leave_nothing() -> None:
    """Answered, cut off, never answered, and their endpoints leaving meanwhile."""
    picker = Picker(*[IDLE] * 4, config=configured())
    picker.store.apply(snapshot(*map(spec, range(4))))
    scorer, rng = scorer_of(picker.policy), random.Random(3)
    live: list[tuple[Placement, bool]] = []
    for number in range(2000):
        picker.clock.now += 0.01
        if number % 50 == 49:  # one goes, one comes
            first = number // 50
            picker.store.apply(snapshot(*map(spec, range(first % 40, first % 40 + 4))))
            for name in picker.store.endpoints.by_name:
                picker.store.scraped(name, IDLE, 1e6, picker.clock.now)
        stream = rng.random() < 0.7
        live.append((place(picker, number % 97, stream), stream))
        if len(live) > 40:
            placement, stream = live.pop(rng.randrange(len(live)))
            fate = rng.random()
            if fate < 0.7:
                answer(placement, stream)
            if fate < 0.5:
                placement.response_ended()
            picker.director.finish(placement)
    for placement, _ in live:
        picker.director.finish(placement)
    assert (kept(scorer), picker.held) == (0, 0)
    told = scorer.score(request(b"x" * 4000), picker.store.candidates(None, picker.clock.now))
    assert np.isfinite(told).all()
