"""no-hit-lru-scorer: prompts that nobody holds go round."""

from __future__ import annotations

import pytest

from epp.plugins.no_hit_lru_scorer import NoHitLruScorer
from epp.types import InferenceRequest
from tests.plugins import Surroundings, scores
from tests.pools import endpoint, request, store_of


class Story:
    """A scorer over a pool, told of placements as the scheduler tells them."""

    def __init__(self, endpoints: int, lru_size: int = 1024) -> None:
        self.store = store_of(*[None] * endpoints)
        self.context = Surroundings(self.store)
        self.scorer = self.context.set_up(NoHitLruScorer(lru_size))
        self._prompts = 0

    def cold(self) -> InferenceRequest:
        self._prompts += 1
        return request(bytes([self._prompts]) * 4000)

    def scores(self, asked: InferenceRequest, *numbers: int) -> list[float]:
        subset = frozenset(f"192.168.1.{number + 1}" for number in numbers) if numbers else None
        return scores(self.scorer, asked, self.store.candidates(subset, 0.0))

    def place(self, asked: InferenceRequest, number: int) -> None:
        self.scores(asked)
        for plugin in (self.scorer, *self.context.plugins.values()):
            plugin.placed(asked, endpoint(self.store, number), "default")  # type: ignore[attr-defined]


def test_those_that_were_sent_none_come_first_then_the_oldest() -> None:
    story = Story(4)
    assert story.scores(story.cold()) == pytest.approx([1, 2 / 3, 1 / 3, 0])
    story.place(story.cold(), 0)
    assert story.scores(story.cold()) == pytest.approx([0, 1, 2 / 3, 1 / 3])
    story.place(story.cold(), 2)
    assert story.scores(story.cold()) == pytest.approx([1 / 3, 1, 0, 2 / 3])
    for number in (1, 3, 0):
        story.place(story.cold(), number)
    assert story.scores(story.cold()) == pytest.approx([0, 2 / 3, 1, 1 / 3])


def test_a_prompt_that_somebody_holds_changes_nothing() -> None:
    story = Story(3)
    warm = story.cold()
    story.place(warm, 1)
    assert story.scores(warm) == [0.5, 0.5, 0.5]
    story.place(warm, 0)
    assert story.scores(story.cold()) == pytest.approx([1, 0, 0.5]), "the warm request is not counted"


def test_a_request_without_a_prompt_is_held_by_nobody() -> None:
    assert Story(2).scores(request()) == [1, 0]


def test_ranks_are_those_among_the_candidates() -> None:
    story = Story(4)
    for number in (0, 1, 2, 3):
        story.place(story.cold(), number)
    assert story.scores(story.cold(), 1, 3) == [1, 0]
    assert story.scores(story.cold(), 2) == [1]


def test_nobody() -> None:
    assert Story(0).scores(request()) == []


def test_only_the_latest_are_remembered() -> None:
    story = Story(3, lru_size=1)
    story.place(story.cold(), 0)
    story.place(story.cold(), 1)
    assert story.scores(story.cold()) == pytest.approx([1, 0, 0.5])


def test_an_endpoint_in_the_slot_of_one_that_left_was_sent_none() -> None:
    story = Story(2)
    story.place(story.cold(), 0)
    story.scorer.left(endpoint(story.store, 0).slot)
    story.scorer.left(99)
    assert story.scores(story.cold()) == [1, 0]
