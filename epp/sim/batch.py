"""A step that is being put together."""

from __future__ import annotations

from dataclasses import dataclass, field

from epp.sim.kvcache import BlockPool
from epp.sim.sequence import Sequence


@dataclass(slots=True)
class Batch:
    """What a step computes so far."""

    budget: int  # tokens that it may still take
    decodes: int = 0
    context: int = 0  # tokens that the decoding sequences read
    prefills: list[tuple[int, int]] = field(default_factory=list)  # tokens, past tokens
    load_seconds: float = 0.0  # for adapters that are not in memory

    def add(self, tokens: int, past: int) -> None:
        """Takes in `tokens` of a sequence that has `past` tokens computed."""
        self.budget -= tokens
        if tokens == 1:
            self.decodes += 1
            self.context += past + 1
        else:
            self.prefills.append((tokens, past))


def first_chunk(sequence: Sequence, pool: BlockPool, block_size: int, budget: int) -> tuple[int, int]:
    """Of a waiting sequence: blocks found in the prefix cache, and the tokens that a step would compute."""
    matched = pool.match(sequence.request.block_hashes, (sequence.length - 1) // block_size)
    return matched, min(sequence.length - matched * block_size, budget)
