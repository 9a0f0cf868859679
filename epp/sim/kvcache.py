"""The KV cache of one server: blocks with reference counts, and the prefix cache over them.

Every block is in one of these places:

    blank    free, and nothing worth keeping in it
    idle     free, but it holds a known piece of some prompt: the prefix cache. Evicted least recently used
             first, and only once no blank block is left
    shared   held by one or more sequences, and findable by its hash
    private  held by one sequence: not yet full, or a duplicate of a shared one

A block is known by the chained hash of its tokens and all before them, so that equal prefixes have equal
hashes. Blocks have no numbers here: nothing asks where a block lies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import xxhash


def chained_hashes(tokens: bytes, block_size: int, salt: str = "") -> list[int]:
    """The hash of each full block of `tokens` (4 bytes a token), each seeded with the one before.

    `salt` keeps prefixes apart that must not share blocks: the adapter's name.
    """
    width = 4 * block_size
    digest = xxhash.xxh64_intdigest
    parent = digest(salt.encode())
    hashes = []
    for start in range(0, len(tokens) - width + 1, width):
        parent = digest(tokens[start : start + width], parent)
        hashes.append(parent)
    return hashes


@dataclass(slots=True)
class BlockTable:
    """The blocks that one sequence holds, in the order of its tokens."""

    blocks: int = 0
    shared: list[int] = field(default_factory=list)  # hashes of those that others may find
    published: int = 0  # leading blocks that were offered to the prefix cache

    @property
    def private(self) -> int:
        """Blocks that nobody else can find."""
        return self.blocks - len(self.shared)


class BlockPool:
    """The blocks of one server, and who holds them."""

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self._blank = num_blocks
        self._idle: OrderedDict[int, None] = OrderedDict()  # least recently used first
        self._shared: set[int] = set()  # hashes
        self._further: dict[
            int, int
        ] = {}  # of a shared block that more than one hold: how many beside the first

    def __repr__(self) -> str:
        return f"BlockPool({self.in_use} of {self.num_blocks} in use, {len(self._idle)} cached)"

    @property
    def in_use(self) -> int:
        """Blocks held by at least one sequence."""
        return self.num_blocks - self.free

    @property
    def free(self) -> int:
        """Blocks that can be had, cached ones included."""
        return self._blank + len(self._idle)

    @property
    def usage(self) -> float:
        """0..1, the share of blocks in use."""
        return self.in_use / self.num_blocks

    def match(self, hashes: Sequence[int], limit: int) -> int:
        """How many leading blocks of `hashes` are in the cache, at most `limit`."""
        shared, idle = self._shared, self._idle
        for matched, block in enumerate(hashes[:limit]):
            if block not in shared and block not in idle:
                return matched
        return min(limit, len(hashes))

    def fits(self, hashes: Sequence[int], matched: int, blocks: int) -> bool:
        """Whether there are enough for a table of `blocks` blocks, the first `matched` of `hashes` shared."""
        revived = sum(map(self._idle.__contains__, hashes[:matched]))
        return blocks - matched <= self.free - revived

    def evicted_for(self, blocks: int) -> Iterable[int]:
        """The hashes of those that would go for the sake of so many new blocks."""
        return islice(self._idle, max(blocks - self._blank, 0))

    def held(self, hashes: Sequence[int], limit: int) -> int:
        """How many leading blocks of `hashes` sequences hold, at most `limit`: they cost nothing to share."""
        for found, block in enumerate(hashes[:limit]):
            if block not in self._shared:
                return found
        return min(limit, len(hashes))

    def open_table(self, hashes: Sequence[int], matched: int, blocks: int) -> BlockTable | None:
        """A table of `blocks` blocks, the first `matched` of `hashes` shared; None if there are too few."""
        if not self.fits(hashes, matched, blocks):
            return None
        table = BlockTable(matched, list(hashes[:matched]), matched)
        for block in table.shared:
            if block in self._shared:
                self._further[block] = self._further.get(block, 0) + 1
            else:
                del self._idle[block]
                self._shared.add(block)
        self.grow(table, blocks)
        return table

    def grow(self, table: BlockTable, blocks: int) -> bool:
        """Brings `table` up to `blocks` blocks, no fewer than it has; False, and nothing taken, if short."""
        missing = blocks - table.blocks
        if missing > self.free:
            return False
        for _ in range(missing - self._blank):
            self._idle.popitem(last=False)
            self._blank += 1
        self._blank -= missing
        table.blocks += missing
        return True

    def publish(self, table: BlockTable, hashes: Sequence[int], full: int) -> None:
        """Makes the first `full` blocks of `table` findable by their hashes, as far as hashes are known."""
        new = hashes[table.published : full]
        table.published = full
        if self._is_known(new):
            for block in new:
                if block in self._shared:
                    continue  # computed twice at the same time: the second copy stays private
                if block in self._idle:
                    del self._idle[block]
                    self._blank += 1
                self._shared.add(block)
                table.shared.append(block)
        else:
            self._shared.update(new)
            table.shared += new

    def close_table(self, table: BlockTable) -> None:
        """Gives back all blocks of `table`. The end of a prefix becomes evictable before its beginning."""
        for block in reversed(table.shared):
            further = self._further.get(block)
            if further is None:
                self._shared.remove(block)
                self._idle[block] = None
            elif further == 1:
                del self._further[block]
            else:
                self._further[block] = further - 1
        self._blank += table.private

    def _is_known(self, blocks: Sequence[int]) -> bool:
        """Whether some of `blocks` are in the cache, or twice among them."""
        different = set(blocks)
        return not (
            len(different) == len(blocks)
            and self._shared.isdisjoint(different)
            and self._idle.keys().isdisjoint(different)
        )
