"""The prefix index: chains of blocks, matches, eviction; compared with a model that keeps whole prompts."""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from epp.datastore.prefix import (
    BYTES_PER_TOKEN,
    DEFAULT_CACHE_TOKENS,
    FIRST_BLOCK_BYTES,
    GROWTH,
    Chain,
    PrefixIndex,
    cuts,
    hash_prompt,
)
from epp.types import Prompt

UNKNOWN = math.nan


def prompt(*parts: bytes, salt: str = "") -> Prompt:
    return Prompt(tuple(map(memoryview, parts)), salt=salt)


def chain(data: bytes, model: str = "m") -> Chain:
    return hash_prompt(prompt(data), model)


def text(size: int, seed: int = 0) -> bytes:
    """`size` bytes of which no two blocks are equal."""
    return np.random.default_rng(seed).bytes(size)


def matches(index: PrefixIndex, data: bytes, *slots: int) -> list[float]:
    found: list[float] = index.match(chain(data), np.array(slots, np.intp)).tolist()
    return found


class TestCuts:
    def test_the_first_block_is_a_block_of_the_engine(self) -> None:
        assert cuts()[:3] == (64, 128, 192)

    def test_blocks_grow_to_a_sixteenth_of_what_lies_before_them(self) -> None:
        for before, end in pairwise(cuts()):
            block = end - before
            assert block % FIRST_BLOCK_BYTES == 0
            assert block <= max(FIRST_BLOCK_BYTES, before / GROWTH)
            assert block > before / GROWTH - FIRST_BLOCK_BYTES

    @pytest.mark.parametrize(
        ("size", "blocks"), [(1, 1), (64, 1), (65, 2), (1024, 16), (2048, 32), (220_000, 114), (8 << 20, 174)]
    )
    def test_number_of_blocks(self, size: int, blocks: int) -> None:
        assert len(chain(bytes(size)).hashes) == blocks


class TestChains:
    @given(st.integers(1, 5000))
    def test_the_last_block_ends_where_the_prompt_does(self, size: int) -> None:
        made = chain(text(size))
        assert made.size == size
        assert made.ends[:-1] == cuts()[: len(made.ends) - 1]
        assert len(made.hashes) == len(made.ends)

    def test_no_prompt_no_chain(self) -> None:
        assert hash_prompt(prompt(), "m") == Chain((), ())
        assert hash_prompt(prompt(), "m").size == 0

    def test_equal_up_to_the_first_difference_and_nowhere_after(self) -> None:
        one = text(2000)
        two = one[:1000] + bytes([one[1000] ^ 1]) + one[1001:]
        same = [a == b for a, b in zip(chain(one).hashes, chain(two).hashes, strict=True)]
        first = next(i for i, end in enumerate(chain(one).ends) if end > 1000)
        assert same == [True] * first + [False] * (len(same) - first)

    @given(st.binary(min_size=1, max_size=300), st.integers(0, 300))
    def test_parts_are_one_prompt(self, data: bytes, cut: int) -> None:
        assert hash_prompt(prompt(data[:cut], data[cut:]), "m") == chain(data)

    def test_models_and_salts_share_nothing(self) -> None:
        data = text(500)
        chains = [hash_prompt(prompt(data, salt=salt), model) for model in ("a", "b") for salt in ("", "s")]
        hashes = [digest for made in chains for digest in made.hashes]
        assert len(set(hashes)) == len(hashes) == 4 * 8

    def test_names_outside_ascii(self) -> None:
        assert hash_prompt(prompt(b"x", salt="ß"), "模型") != hash_prompt(prompt(b"x"), "模型")


class TestMatch:
    def test_nothing_was_sent(self) -> None:
        assert matches(PrefixIndex(), text(500), 0, 1) == [0, 0]

    @pytest.mark.parametrize("size", [1, 63, 64, 65, 1000, 100_000])
    def test_an_equal_prompt_matches_to_its_end(self, size: int) -> None:
        index = PrefixIndex()
        index.record(1, chain(text(size)), UNKNOWN)
        assert matches(index, text(size), 0, 1) == [0, size]

    def test_a_longer_prompt_matches_to_the_last_cut_before(self) -> None:
        index = PrefixIndex()
        data = text(10_000)
        index.record(0, chain(data[:7000]), UNKNOWN)
        [found] = matches(index, data, 0)
        assert found == max(end for end in cuts() if end <= 7000)
        assert found > 7000 * (1 - 1 / GROWTH)

    def test_each_endpoint_as_far_as_it_goes_in_the_order_asked(self) -> None:
        index = PrefixIndex()
        data = text(640)
        index.record(3, chain(data[:128] + text(100, 1)), UNKNOWN)
        index.record(70, chain(data), UNKNOWN)  # beyond the bits of a machine word
        index.record(5, chain(data[:320] + text(100, 2)), UNKNOWN)
        assert matches(index, data, 70, 4, 3, 5) == [640, 0, 128, 320]

    def test_endpoints_that_are_no_candidates_are_passed_over(self) -> None:
        index = PrefixIndex()
        index.record(2, chain(text(500)), UNKNOWN)
        assert matches(index, text(500), 0) == [0]
        assert matches(index, text(500), 9) == [0]
        assert matches(index, text(500)) == []

    def test_a_later_block_without_the_earlier_ones_is_no_match(self) -> None:
        # The reference counts it: an engine has no use for it.
        index = PrefixIndex()
        whole = chain(text(640))
        index.record(0, Chain(whole.hashes[5:], whole.ends[5:]), UNKNOWN)
        assert matches(index, text(640), 0) == [0]


class TestEviction:
    def test_the_end_of_a_prompt_goes_before_its_start(self) -> None:
        index = PrefixIndex()
        data = text(640)
        index.record(0, chain(data), cache_tokens=320 / BYTES_PER_TOKEN)
        assert matches(index, data, 0) == [320]

    def test_the_prompt_unused_for_longest_goes_first(self) -> None:
        index = PrefixIndex()
        a, b, c = (text(256, seed) for seed in range(3))
        tokens = 512 / BYTES_PER_TOKEN
        for data in (a, b, a, c):
            index.record(0, chain(data), tokens)
        assert [matches(index, data, 0) for data in (a, b, c)] == [[256], [0], [256]]

    def test_a_shared_start_outlives_what_followed_it(self) -> None:
        index = PrefixIndex()
        start = text(256)
        tokens = 512 / BYTES_PER_TOKEN
        for seed in range(1, 20):
            index.record(0, chain(start + text(256, seed)), tokens)
            assert matches(index, start, 0) == [256]
        assert len(index) == 8

    def test_each_endpoint_forgets_by_its_own_size(self) -> None:
        index = PrefixIndex()
        for slot, size in ((0, 128), (1, 1280)):
            index.record(slot, chain(text(640)), size / BYTES_PER_TOKEN)
        assert matches(index, text(640), 0, 1) == [128, 640]

    def test_an_endpoint_that_does_not_tell_has_the_references_size(self) -> None:
        index = PrefixIndex()
        size = DEFAULT_CACHE_TOKENS * BYTES_PER_TOKEN
        index.record(0, chain(text(size)), UNKNOWN)
        assert matches(index, text(size), 0) == [size]
        index.record(0, chain(text(64, 1)), UNKNOWN)
        assert matches(index, text(64, 1), 0) == [64]
        assert matches(index, text(size), 0)[0] < size

    def test_short_prompts_cannot_make_more_blocks_than_the_engine_has(self) -> None:
        index = PrefixIndex()
        for number in range(100):
            index.record(0, chain(b"%d" % number), cache_tokens=10 * 16)
        assert len(index) == 10

    def test_a_cache_without_room_holds_nothing(self) -> None:
        index = PrefixIndex()
        index.record(0, chain(text(640)), cache_tokens=0)
        assert len(index) == 0


class TestRemoval:
    def test_everything_of_an_endpoint_goes_and_nothing_of_others(self) -> None:
        index = PrefixIndex()
        index.record(0, chain(text(640)), UNKNOWN)
        index.record(1, chain(text(320)), UNKNOWN)
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

    @rule(slot=slots, data=prompts, tokens=st.integers(0, 200))
    def record(self, slot: int, data: bytes, tokens: int) -> None:
        self.index.record(slot, chain(data), float(tokens))
        self.naive.record(slot, data, tokens * BYTES_PER_TOKEN)

    @rule(slot=slots)
    def remove(self, slot: int) -> None:
        self.index.removed(slot)
        self.naive.held.pop(slot, None)

    @rule(data=prompts, asked=st.lists(slots, unique=True))
    def match(self, data: bytes, asked: list[int]) -> None:
        expected = [self.naive.match(data, slot) for slot in asked]
        assert matches(self.index, data, *asked) == expected
        assert [self.index.held(chain(data), slot) for slot in asked] == expected

    @invariant()
    def it_holds_what_the_naive_one_holds(self) -> None:
        assert len(self.index) == len({start for held in self.naive.held.values() for start in held})


TestIndexAgainstNaive = IndexAgainstNaive.TestCase
