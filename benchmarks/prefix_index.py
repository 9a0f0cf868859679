"""The prefix index at size: a million blocks over a hundred endpoints, beside a plain walk of dictionaries.

Reports inserts and lookups per second (chains of one length, each lookup for all endpoints at once) and
bytes per block. The plain walk is what the reference's structure comes to in Python: a set of endpoints for
each hash, and for each lookup a count for each endpoint.

    python -m benchmarks.prefix_index [--blocks 1000000] [--endpoints 100] [--chain 100]
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from epp.datastore.blocks import Blocks, Chain, even_blocks
from epp.datastore.prefix import PrefixIndex
from epp.tables import render_table

BLOCK = 64
LOOKUPS = 2000


class Naive:
    """A set of endpoints for each block, and an LRU of blocks for each endpoint."""

    def __init__(self) -> None:
        self.holders: dict[int, set[int]] = {}
        self.caches: dict[int, OrderedDict[int, None]] = {}

    def record(self, slot: int, chain: Chain, capacity: int) -> None:
        cache = self.caches.setdefault(slot, OrderedDict())
        for digest in chain.hashes:
            cache[digest] = None
            cache.move_to_end(digest)
            self.holders.setdefault(digest, set()).add(slot)
        while len(cache) * BLOCK > capacity:
            digest, _ = cache.popitem(last=False)
            self.holders[digest].discard(slot)

    def match(self, chain: Chain, slots: Any) -> dict[int, int]:
        counts = dict.fromkeys(slots.tolist(), 0)
        for digest in chain.hashes:
            holding = self.holders.get(digest)
            if not holding:
                break
            for slot in holding:
                counts[slot] += BLOCK
        return counts


def chains(number: int, length: int, blocks: Blocks) -> list[Chain]:
    """Chains of `length` blocks; each shares its first third with nine others."""
    rng = random.Random(0)
    shared = length // 3
    made = []
    start: list[int] = []
    for index in range(number):
        if index % 10 == 0:
            start = [rng.getrandbits(64) for _ in range(shared)]
        rest = [rng.getrandbits(64) for _ in range(length - shared)]
        made.append(Chain(start + rest, blocks, length * BLOCK))
    return made


def measure(new: Callable[[], Any], made: Sequence[Chain], endpoints: int) -> tuple[float, float, float]:
    """(inserts a second, lookups a second, bytes a block)."""
    slots = np.arange(endpoints)
    tracemalloc.start()
    index = new()
    # Hashes of its own, which live on in the index alone.
    blocks = fill(
        index,
        [Chain([digest ^ 1 for digest in chain.hashes], chain.blocks, chain.size) for chain in made],
        endpoints,
    )
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del index
    index = new()
    started = time.process_time()
    fill(index, made, endpoints)
    inserted = time.process_time() - started
    asked = random.Random(1).choices(made, k=LOOKUPS)
    started = time.process_time()
    for chain in asked:
        index.match(chain, slots)
    looked_up = time.process_time() - started
    return blocks / inserted, LOOKUPS / looked_up, size / blocks


def fill(index: Any, made: Sequence[Chain], endpoints: int) -> int:
    """Deals the chains out, the groups that share a start to one endpoint; blocks that were inserted."""
    for number, chain in enumerate(made):
        index.record(number // 10 % endpoints, chain, 1 << 40)
    return sum(len(chain.hashes) for chain in made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--endpoints", type=int, default=100)
    parser.add_argument("--chain", type=int, default=100, help="blocks in a prompt")
    arguments = parser.parse_args()
    made = chains(arguments.blocks // arguments.chain, arguments.chain, even_blocks(BLOCK, arguments.chain))
    rows = []
    for name, new in (("index", PrefixIndex), ("plain walk", Naive)):
        inserts, lookups, size = measure(new, made, arguments.endpoints)
        rows.append((name, f"{inserts:.0f}", f"{lookups:.0f}", f"{size:.0f}"))
    print("\n".join(render_table(("", "blocks inserted/s", "lookups/s", "bytes/block"), rows)))


if __name__ == "__main__":
    main()
