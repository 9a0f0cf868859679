"""The prefix index: chains of blocks, matches, eviction; compared with a model that keeps whole prompts."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from epp.datastore.blocks import GROWTH, Chain, even_blocks, growing_blocks, hash_prompt
from epp.datastore.prefix import PrefixIndex
from epp.types import Prompt

ROOM = 1 << 40


def chain(data: bytes, model: str = "m") -> Chain:
    return hash_prompt(Prompt((memoryview(data),)), model, growing_blocks())


def text(size: int, seed: int = 0) -> bytes:
    """`size` bytes of which no two blocks are equal."""
    return np.random.default_rng(seed).bytes(size)


def matches(index: PrefixIndex, data: bytes, *slots: int) -> list[float]:
    found: list[float] = index.match(chain(data), np.array(slots, np.intp)).tolist()
    return found


class TestMatch:
    def test_nothing_was_sent(self) -> None:
        assert matches(PrefixIndex(), text(500), 0, 1) == [0, 0]

    @pytest.mark.parametrize("size", [1, 63, 64, 65, 1000, 100_000])
    def test_an_equal_prompt_matches_to_its_end(self, size: int) -> None:
        index = PrefixIndex()
        index.record(1, chain(text(size)), ROOM)
        assert matches(index, text(size), 0, 1) == [0, size]

    def test_a_longer_prompt_matches_to_the_last_cut_before(self) -> None:
        index = PrefixIndex()
        data = text(10_000)
        index.record(0, chain(data[:7000]), ROOM)
        [found] = matches(index, data, 0)
        assert found == max(end for end in growing_blocks().ends if end <= 7000)
        assert found > 7000 * (1 - 1 / GROWTH)

    def test_each_endpoint_as_far_as_it_goes(self) -> None:
        index = PrefixIndex()
        data = text(640)
        index.record(3, chain(data[:128] + text(100, 1)), ROOM)
        index.record(70, chain(data), ROOM)  # beyond the bits of a machine word
        index.record(5, chain(data[:320] + text(100, 2)), ROOM)
        assert matches(index, data, 3, 4, 5, 70) == [128, 0, 320, 640]

    def test_endpoints_that_are_no_candidates_are_passed_over(self) -> None:
        index = PrefixIndex()
        index.record(2, chain(text(500)), ROOM)
        assert matches(index, text(500), 0) == [0]
        assert matches(index, text(500), 9) == [0]
        assert matches(index, text(500)) == []

    def test_a_later_block_without_the_earlier_ones_is_no_match(self) -> None:
        # The reference counts it: an engine has no use for it.
        index = PrefixIndex()
        whole = chain(text(640))
        index.record(0, Chain(whole.hashes[5:], whole.blocks, 320), ROOM)
        assert matches(index, text(640), 0) == [0]

    @pytest.mark.parametrize("count", [3, 100, 5000])
    def test_many_endpoints_that_end_in_the_same_block(self, count: int) -> None:
        index = PrefixIndex()
        data = text(640)
        for slot in range(count):
            index.record(slot, chain(data[:128] + text(100, 1)), ROOM)
        index.record(count, chain(data), ROOM)
        assert matches(index, data, *range(count + 2)) == [128] * count + [640, 0]


class TestEvenBlocks:
    def test_the_rest_does_not_count_and_neither_does_what_lies_behind_the_last_block(self) -> None:
        index = PrefixIndex()
        cuts = even_blocks(64, 4)
        for size, held in ((63, 0), (64, 64), (200, 192), (256, 256), (1000, 256)):
            made = hash_prompt(Prompt((memoryview(text(size)),)), "m", cuts)
            index.record(0, made, ROOM)
            assert index.match(made, np.array([0], np.intp)).tolist() == [held]
            assert made.size == held


class TestEviction:
    def test_the_end_of_a_prompt_goes_before_its_start(self) -> None:
        index = PrefixIndex()
        data = text(640)
        index.record(0, chain(data), capacity=320)
        assert matches(index, data, 0) == [320]

    def test_the_prompt_unused_for_longest_goes_first(self) -> None:
        index = PrefixIndex()
        a, b, c = (text(256, seed) for seed in range(3))
        capacity = 512
        for data in (a, b, a, c):
            index.record(0, chain(data), capacity)
        assert [matches(index, data, 0) for data in (a, b, c)] == [[256], [0], [256]]

    def test_a_shared_start_outlives_what_followed_it(self) -> None:
        index = PrefixIndex()
        start = text(256)
        capacity = 512
        for seed in range(1, 20):
            index.record(0, chain(start + text(256, seed)), capacity)
            assert matches(index, start, 0) == [256]
        assert len(index) == 8

    def test_each_endpoint_forgets_by_its_own_size(self) -> None:
        index = PrefixIndex()
        for slot, size in ((0, 128), (1, 1280)):
            index.record(slot, chain(text(640)), size)
        assert matches(index, text(640), 0, 1) == [128, 640]

    def test_short_prompts_cannot_make_more_blocks_than_the_engine_has(self) -> None:
        index = PrefixIndex()
        for number in range(100):
            index.record(0, chain(b"%d" % number), capacity=10 * 64)
        assert len(index) == 10

    def test_a_cache_without_room_holds_nothing(self) -> None:
        index = PrefixIndex()
        index.record(0, chain(text(640)), capacity=0)
        assert len(index) == 0


class TestRemoval:
    def test_everything_of_an_endpoint_goes_and_nothing_of_others(self) -> None:
        index = PrefixIndex()
        index.record(0, chain(text(640)), ROOM)
        index.record(1, chain(text(320)), ROOM)
        index.removed(0)
        assert matches(index, text(640), 0, 1) == [0, 320]
        index.removed(1)
        assert len(index) == 0
        assert repr(index) == "<PrefixIndex 0 blocks, 0 endpoints>"

    def test_an_endpoint_to_which_nothing_was_sent(self) -> None:
        PrefixIndex().removed(5)


class Naive:
    """The same rules over whole prompts: an endpoint is the starts of prompts, oldest first."""

    def __init__(self) -> None:
        self.held: dict[int, OrderedDict[bytes, int]] = {}

    def match(self, data: bytes, slot: int) -> int:
        found = 0
        for end in ends(data):
            if data[:end] not in self.held.get(slot, {}):
                break
            found = end
        return found

    def record(self, slot: int, data: bytes, limit: int) -> None:
        held = self.held.setdefault(slot, OrderedDict())
        for begin, end in reversed(list(pairwise([0, *ends(data)]))):
            held[data[:end]] = max(64, end - begin)
            held.move_to_end(data[:end])
        while sum(held.values()) > limit:
            held.popitem(last=False)


def ends(data: bytes) -> list[int]:
    """Blocks of 64 bytes, as they are up to 2,048, and the rest."""
    return [*range(64, len(data), 64), len(data)]


prompts = st.builds(
    lambda blocks, rest: b"".join(letter.encode() * 64 for letter in blocks) + rest.encode(),
    st.text("ab", max_size=6),
    st.text("ab", min_size=1, max_size=3),
)
slots = st.sampled_from([0, 1, 2, 65])


class IndexAgainstNaive(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.index = PrefixIndex()
        self.naive = Naive()

    @rule(slot=slots, data=prompts, capacity=st.integers(0, 800))
    def record(self, slot: int, data: bytes, capacity: int) -> None:
        held = self.naive.match(data, slot)
        assert self.index.record(slot, chain(data), capacity) == held
        self.naive.record(slot, data, capacity)

    @rule(slot=slots)
    def remove(self, slot: int) -> None:
        self.index.removed(slot)
        self.naive.held.pop(slot, None)

    @rule(data=prompts, asked=st.lists(slots, unique=True).map(sorted))
    def match(self, data: bytes, asked: list[int]) -> None:
        expected = [self.naive.match(data, slot) for slot in asked]
        assert matches(self.index, data, *asked) == expected
        assert [self.index.held(chain(data), slot) for slot in asked] == expected

    @invariant()
    def it_holds_what_the_naive_one_holds(self) -> None:
        assert len(self.index) == len({start for held in self.naive.held.values() for start in held})


TestIndexAgainstNaive = IndexAgainstNaive.TestCase
