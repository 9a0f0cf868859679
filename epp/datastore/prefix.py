"""Which endpoint has which prefixes in its KV cache, as far as the picker can tell from what it sent there.

A prompt is cut into blocks, and each block's hash takes in the hash before it, so that equal hashes mean
equal prompts up to there. The index maps a hash to the set of endpoints that hold it, as the bits of an int,
so that one walk along the prompt finds every endpoint's match. Each endpoint forgets the least recently used
blocks beyond what its KV cache holds. Prompt bytes are never kept.

Blocks grow with their position: fine at the start of the prompt, coarse far in, always about a sixteenth of
what lies before them. The relative resolution stays, and a 220 KB prompt costs about 100 steps where blocks
of 64 bytes would make 3,400.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cache

import numpy as np
import xxhash

from epp.datastore.endpoints import Floats, Slots
from epp.types import Prompt

# vLLM's KV block on GPUs holds 16 tokens, and a token of English text is about 4 bytes.
BYTES_PER_TOKEN = 4
FIRST_BLOCK_BYTES = 16 * BYTES_PER_TOKEN

# A block is at most this fraction of the prompt before it: what a match may miss of its own length.
GROWTH = 16

# Tokens that fit in an endpoint's KV cache when it does not tell: the reference's 31,250 blocks of 16.
DEFAULT_CACHE_TOKENS = 500_000

# No prompt is longer than --max-request-bytes; the table of cuts ends far beyond any sensible value of it.
_LAST_CUT = 1 << 32


@dataclass(frozen=True, slots=True)
class Chain:
    """A prompt as chained hashes: `hashes[i]` stands for the first `ends[i]` bytes."""

    hashes: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the whole prompt."""
        return self.ends[-1] if self.ends else 0


@cache
def cuts() -> tuple[int, ...]:
    """Where blocks end, in bytes from the start of a prompt."""
    ends = [FIRST_BLOCK_BYTES]
    while ends[-1] < _LAST_CUT:
        blocks = max(1, ends[-1] // GROWTH // FIRST_BLOCK_BYTES)
        ends.append(ends[-1] + blocks * FIRST_BLOCK_BYTES)
    return tuple(ends)


def hash_prompt(prompt: Prompt, model: str) -> Chain:
    """The chain of `prompt` as `model` sees it: another model or adapter, or another salt, shares nothing.

    The rest behind the last cut is a block as well, so that only equal prompts match to their end.
    """
    if not prompt.parts:
        return Chain((), ())
    data = prompt.parts[0] if len(prompt.parts) == 1 else memoryview(b"".join(prompt.parts))
    size = data.nbytes
    digest = xxhash.xxh64_intdigest(f"{model}\0{prompt.salt}".encode())
    hashes: list[int] = []
    ends: list[int] = []
    start = 0
    for end in cuts():
        end = min(end, size)
        digest = xxhash.xxh64_intdigest(data[start:end], digest)
        hashes.append(digest)
        ends.append(end)
        start = end
        if end == size:
            break
    return Chain(tuple(hashes), tuple(ends))


class PrefixIndex:
    """The blocks of all endpoints, by slot."""

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}  # hash -> bit per slot
        self._caches: dict[int, _Cache] = {}  # slot -> its blocks

    def __repr__(self) -> str:
        return f"<PrefixIndex {len(self._holders)} blocks, {len(self._caches)} endpoints>"

    def __len__(self) -> int:
        return len(self._holders)

    def match(self, chain: Chain, slots: Slots) -> Floats:
        """Bytes of the prompt's start that each of `slots` holds."""
        width = int(slots.max(initial=-1)) + 1
        matched = np.zeros(width)
        alive = (1 << width) - 1
        holders = self._holders
        before = 0
        for digest, end in zip(chain.hashes, chain.ends, strict=True):
            holding = holders.get(digest, 0) & alive
            if holding != alive:
                if before:  # most hold nothing at all, and need no visit
                    _set_bits(matched, alive & ~holding, before)
                alive = holding
                if not alive:
                    break
            before = end
        _set_bits(matched, alive, before)
        return matched[slots]

    def held(self, chain: Chain, slot: int) -> int:
        """Bytes of the prompt's start that the endpoint at `slot` holds."""
        bit = 1 << slot
        held = 0
        for digest, end in zip(chain.hashes, chain.ends, strict=True):
            if not self._holders.get(digest, 0) & bit:
                break
            held = end
        return held

    def record(self, slot: int, chain: Chain, cache_tokens: float) -> None:
        """`chain` was sent to the endpoint at `slot`, whose KV cache holds `cache_tokens`; NaN: unknown."""
        cache = self._caches.setdefault(slot, _Cache())
        bit = 1 << slot
        start = chain.size
        # The end of the prompt goes in first, so that it is also the first to be forgotten: a chain without
        # its start is of no use, and engines evict in this order too.
        for digest, begin in zip(reversed(chain.hashes), (*reversed(chain.ends[:-1]), 0), strict=True):
            if cache.put(digest, start - begin):
                self._holders[digest] = self._holders.get(digest, 0) | bit
            start = begin
        capacity = DEFAULT_CACHE_TOKENS if np.isnan(cache_tokens) else cache_tokens
        for digest in cache.shrink(int(capacity) * BYTES_PER_TOKEN):
            self._drop(digest, bit)

    def removed(self, slot: int) -> None:
        """The endpoint left, and its blocks with it."""
        cache = self._caches.pop(slot, None)
        if cache is not None:
            for digest in cache.blocks:
                self._drop(digest, 1 << slot)

    def _drop(self, digest: int, bit: int) -> None:
        rest = self._holders[digest] & ~bit
        if rest:
            self._holders[digest] = rest
        else:
            del self._holders[digest]


class _Cache:
    """The blocks of one endpoint, least recently used first, with their bytes.

    The short rest at the end of a prompt counts as a whole first block: it fills one in the engine, and the
    number of blocks kept stays within the number of those that the engine has.
    """

    __slots__ = ("blocks", "bytes")

    def __init__(self) -> None:
        self.blocks: OrderedDict[int, int] = OrderedDict()
        self.bytes = 0

    def put(self, digest: int, size: int) -> bool:
        """Takes a block in or marks it used; whether it is new."""
        if digest in self.blocks:
            self.blocks.move_to_end(digest)
            return False
        size = max(size, FIRST_BLOCK_BYTES)
        self.blocks[digest] = size
        self.bytes += size
        return True

    def shrink(self, limit: int) -> list[int]:
        """Forgets blocks until at most `limit` bytes are left; which."""
        forgotten = []
        while self.bytes > limit and self.blocks:
            digest, size = self.blocks.popitem(last=False)
            self.bytes -= size
            forgotten.append(digest)
        return forgotten


def _set_bits(values: Floats, bits: int, value: int) -> None:
    """Sets `values[i]` for each bit `i` of `bits`."""
    while bits:
        lowest = bits & -bits
        values[lowest.bit_length() - 1] = value
        bits ^= lowest
