"""Which endpoint has which prefixes in its KV cache, as far as the picker can tell from what it sent there.

A prompt is a chain of blocks (`epp.datastore.blocks`), and each block's hash takes in the hash before it, so
that equal hashes mean equal prompts up to there. The index maps a hash to the set of endpoints that hold it,
as the bits of an int, so that one walk along the prompt finds every endpoint's match. Each endpoint forgets
the least recently used blocks beyond what its KV cache holds. Prompt bytes are never kept.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from epp.datastore.blocks import Chain
from epp.datastore.endpoints import Floats, Slots

# The least that a block counts: the short rest at the end of a prompt fills a whole block in the engine, and
# so the number of blocks kept stays within the number of those that the engine has. Bytes.
_LEAST = 64

# From so many endpoints on, that end their match in the same block, their bits are unpacked by numpy: a step
# of the loop costs 0.3 us, unpacking 6.
_MANY = 24


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
        """Bytes of the prompt's start that each of `slots` (ascending) holds."""
        width = int(slots[-1]) + 1 if len(slots) else 0
        matched = np.zeros(width)
        alive = (1 << width) - 1
        holders = self._holders.get
        held = 0
        for digest in chain.hashes:
            holding = holders(digest, 0) & alive
            if holding != alive:
                if held:  # most hold nothing at all, and need no visit
                    _set_bits(matched, alive & ~holding, chain.end(held))
                alive = holding
                if not alive:
                    break
            held += 1
        if alive:
            _set_bits(matched, alive, chain.end(held))
        return matched if len(slots) == width else matched[slots]

    def held(self, chain: Chain, slot: int) -> int:
        """Bytes of the prompt's start that the endpoint at `slot` holds."""
        holders, bit = self._holders.get, 1 << slot
        held = 0
        for digest in chain.hashes:
            if not holders(digest, 0) & bit:
                break
            held += 1
        return chain.end(held)

    def record(self, slot: int, chain: Chain, capacity: int) -> int:
        """`chain` was sent to the endpoint at `slot`, whose KV cache holds `capacity` bytes of prompts.

        Returns how many bytes of the prompt's start it held before.
        """
        cache = self._caches.get(slot)
        if cache is None:
            cache = self._caches[slot] = _Cache()
        blocks, holders, bit = cache.blocks, self._holders, 1 << slot
        touch = blocks.move_to_end
        hashes, sizes = chain.hashes, chain.blocks.sizes
        added = 0
        held = len(hashes)
        # The end of the prompt goes in first, so that it is also the first to be forgotten: a chain without
        # its start is of no use, and engines evict in this order too.
        for index in range(len(hashes) - 1, -1, -1):
            digest = hashes[index]
            if digest in blocks:
                touch(digest)
                continue
            size = sizes[index]
            if index == len(hashes) - 1:
                size = max(min(size, chain.size - chain.end(index)), _LEAST)
            blocks[digest] = size
            added += size
            holders[digest] = holders.get(digest, 0) | bit
            held = index
        cache.bytes += added
        if cache.bytes > capacity:
            self._shrink(cache, ~bit, capacity)
        return chain.end(held)

    def removed(self, slot: int) -> None:
        """The endpoint left, and its blocks with it."""
        cache = self._caches.pop(slot, None)
        if cache is not None:
            self._shrink(cache, ~(1 << slot), 0)

    def _shrink(self, cache: _Cache, others: int, limit: int) -> None:
        """Forgets the blocks used least recently until at most `limit` bytes are left.

        `others` are the bits of all endpoints but the cache's own.
        """
        forget, holders, size = cache.blocks.popitem, self._holders, cache.bytes
        while size > limit:
            digest, block = forget(last=False)
            size -= block
            rest = holders[digest] & others
            if rest:
                holders[digest] = rest
            else:
                del holders[digest]
        cache.bytes = size


class _Cache:
    """The blocks of one endpoint with their bytes, least recently used first."""

    __slots__ = ("blocks", "bytes")

    def __init__(self) -> None:
        self.blocks: OrderedDict[int, int] = OrderedDict()
        self.bytes = 0


def _set_bits(values: Floats, bits: int, value: int) -> None:
    """Sets `values[i]` for each bit `i` of `bits`."""
    if bits.bit_count() >= _MANY:
        packed = np.frombuffer(bits.to_bytes((len(values) + 7) // 8, "little"), np.uint8)
        values[np.unpackbits(packed, count=len(values), bitorder="little").view(np.bool_)] = value
        return
    while bits:
        lowest = bits & -bits
        values[lowest.bit_length() - 1] = value
        bits ^= lowest
