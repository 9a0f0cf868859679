"""How prompts are cut, and chains of hashes."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.datastore.blocks import GROWTH, Chain, even_blocks, growing_blocks, hash_prompt
from epp.types import Prompt

FIRST = 64


def prompt(*parts: bytes, salt: str = "") -> Prompt:
    return Prompt(tuple(map(memoryview, parts)), salt=salt)


def chain(data: bytes, model: str = "m", salt: str = "") -> Chain:
    return hash_prompt(prompt(data, salt=salt), model, growing_blocks())


def text(size: int, seed: int = 0) -> bytes:
    """`size` bytes of which no two blocks are equal."""
    return np.random.default_rng(seed).bytes(size)


class TestCuts:
    def test_the_first_block_is_a_block_of_the_engine(self) -> None:
        assert growing_blocks().ends[:3] == (64, 128, 192)

    def test_blocks_grow_to_a_sixteenth_of_what_lies_before_them(self) -> None:
        for before, end in pairwise(growing_blocks().ends):
            block = end - before
            assert block % FIRST == 0
            assert block <= max(FIRST, before / GROWTH)
            assert block > before / GROWTH - FIRST

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
        assert [made.end(held) for held in range(len(made.hashes))] == [
            0,
            *growing_blocks().ends[: len(made.hashes) - 1],
        ]
        assert made.end(len(made.hashes)) == size

    def test_no_prompt_no_chain(self) -> None:
        made = hash_prompt(prompt(), "m", growing_blocks())
        assert (made.hashes, made.size, made.end(0)) == ([], 0, 0)

    def test_equal_up_to_the_first_difference_and_nowhere_after(self) -> None:
        one = text(2000)
        two = one[:1000] + bytes([one[1000] ^ 1]) + one[1001:]
        same = [a == b for a, b in zip(chain(one).hashes, chain(two).hashes, strict=True)]
        first = next(i for i in range(len(same)) if chain(one).end(i + 1) > 1000)
        assert same == [True] * first + [False] * (len(same) - first)

    @given(st.binary(min_size=1, max_size=300), st.integers(0, 300))
    def test_parts_are_one_prompt(self, data: bytes, cut: int) -> None:
        assert hash_prompt(prompt(data[:cut], data[cut:]), "m", growing_blocks()) == chain(data)

    def test_models_and_salts_share_nothing(self) -> None:
        data = text(500)
        chains = [
            hash_prompt(prompt(data, salt=salt), model, growing_blocks())
            for model in ("a", "b")
            for salt in ("", "s")
        ]
        hashes = [digest for made in chains for digest in made.hashes]
        assert len(set(hashes)) == len(hashes) == 4 * 8

    def test_long_models_and_salts_are_not_remembered(self) -> None:
        tracemalloc.start()
        try:
            for number in range(20):
                chain(b"x", "m", f"{number}" * 1_000_000)
                chain(b"x", f"{number}" * 1_000_000)
            assert tracemalloc.get_traced_memory()[0] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_names_outside_ascii(self) -> None:
        assert chain(b"x", "模型", "ß") != chain(b"x", "模型")


def test_blocks_start_with_the_engines_block() -> None:
    blocks = growing_blocks(512)
    assert blocks.ends[:3] == (512, 1024, 1536)
    assert all(size % 512 == 0 for size in blocks.sizes)


def test_even_blocks() -> None:
    assert even_blocks(64, 3).ends == (64, 128, 192)
    assert even_blocks(64, 3).sizes == (64, 64, 64)
    assert hash_prompt(prompt(text(150)), "m", even_blocks(64, 3)).size == 128
    assert hash_prompt(prompt(text(999)), "m", even_blocks(64, 3)).size == 192
