"""How prompts are cut into blocks, and the chain of hashes that stands for a prompt.

By default blocks grow with their position: fine at the start of a prompt, coarse far in, always about a
sixteenth of what lies before them. The relative resolution stays, and a 220 KB prompt costs about 100 steps
where blocks of 64 bytes would make 3,400. What that loses: of a match that ends within a block, up to a
sixteenth of its length is not seen.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache

import msgspec
import xxhash

from epp.types import Prompt

# A token of English text is about 4 bytes; the reference's number as well.
BYTES_PER_TOKEN = 4

# vLLM's KV block on GPUs, and the reference's blockSizeTokens. Tokens.
DEFAULT_BLOCK_TOKENS = 16

# A block is at most this fraction of the prompt before it: what a match may miss of its own length.
GROWTH = 16

# No prompt is longer than --max-request-bytes; the table of cuts ends far beyond any sensible value of it.
_LAST_CUT = 1 << 32


class Blocks(msgspec.Struct, frozen=True):
    """A way to cut prompts: block `i` ends `ends[i]` bytes from the start and has `sizes[i]` bytes.

    With `rest` the bytes behind the last whole block are a block as well, so that only equal prompts match to
    their end; without it they do not count, and neither does what lies behind the last of `ends`.
    """

    ends: tuple[int, ...]
    sizes: tuple[int, ...]
    rest: bool


@lru_cache(maxsize=16)  # one for each block size of the engines in a pool
def growing_blocks(first: int = DEFAULT_BLOCK_TOKENS * BYTES_PER_TOKEN) -> Blocks:
    """Blocks of whole multiples of `first` bytes that grow with their position."""
    sizes, end = [first], first
    while end < _LAST_CUT:
        sizes.append(max(1, end // GROWTH // first) * first)
        end += sizes[-1]
    return Blocks(_ends(sizes), tuple(sizes), rest=True)


@lru_cache(maxsize=16)
def even_blocks(size: int, count: int) -> Blocks:
    """At most `count` blocks of `size` bytes, as the reference cuts."""
    sizes = [size] * count
    return Blocks(_ends(sizes), tuple(sizes), rest=False)


def _ends(sizes: list[int]) -> tuple[int, ...]:
    ends, end = [], 0
    for size in sizes:
        end += size
        ends.append(end)
    return tuple(ends)


class Chain(msgspec.Struct, frozen=True, gc=False):
    """A prompt as chained hashes: `hashes[i]` stands for all bytes up to the end of block `i`."""

    hashes: list[int]
    blocks: Blocks
    size: int  # bytes that the hashes stand for

    def end(self, held: int) -> int:
        """Bytes in the first `held` blocks."""
        return min(self.blocks.ends[held - 1], self.size) if held else 0


def hash_prompt(prompt: Prompt, model: str, blocks: Blocks) -> Chain:
    """The chain of `prompt` as `model` sees it: another model or adapter, or another salt, shares nothing."""
    parts = prompt.parts
    if not parts:
        return Chain([], blocks, 0)
    data = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
    size = data.nbytes
    ends = blocks.ends
    whole = bisect_left(ends, size + 1)
    xxh3 = xxhash.xxh3_64_intdigest
    salt = prompt.salt
    digest = (_seed if len(model) + len(salt) <= _REMEMBERED_SEED else _seed.__wrapped__)(model, salt)
    hashes: list[int] = []
    start = 0
    for end in ends[:whole]:
        digest = xxh3(data[start:end], digest)
        hashes.append(digest)
        start = end
    if blocks.rest and start < size:
        hashes.append(xxh3(data[start:], digest))
        start = size
    return Chain(hashes, blocks, start)


# Clients choose both, and may fill a whole body with them. Names of models rarely have 100 characters.
_REMEMBERED_SEED = 512


@lru_cache(maxsize=1024)  # models and adapters of a pool; salts are rare
def _seed(model: str, salt: str) -> int:
    return xxhash.xxh3_64_intdigest(f"{model}\0{salt}".encode())
