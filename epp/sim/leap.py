"""Many steps at once: how many may be taken, and what they come to, by the rules of `epp.sim.engine`.

While every running sequence decodes and nobody waiting can be admitted, each step gives each sequence one
token. So each step reads as many tokens of context more than the one before as there are sequences, and takes
longer by the time of reading those: the ends of steps are a quadratic in their number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain
from math import sqrt
from operator import itemgetter
from typing import TYPE_CHECKING

from epp.sim.adapters import AdapterSlots
from epp.sim.batch import Batch, first_chunk
from epp.sim.kvcache import BlockPool
from epp.sim.sequence import Sequence

if TYPE_CHECKING:
    from epp.sim.engine import EngineConfig


@dataclass(slots=True)
class Leap:
    """`steps` steps, of which the last has to be ended by itself: somebody is finished or may be admitted.

    `seconds`, over 0, is what the first step takes, `longer` how much longer each is than the one before.
    """

    began_at: float
    steps: int
    seconds: float
    longer: float
    closed: bool  # whoever comes meanwhile cannot be admitted before the end either
    taken: int = 0  # steps that the engine's state is ahead of `began_at`

    def end(self, step: int) -> float:
        """When the step of this number ends; the first is 1."""
        return self.began_at + step * (self.seconds + (step - 1) / 2 * self.longer)

    def ended_before(self, now: float) -> int:
        """How many steps end before `now`; the last does not count."""
        middle = self.seconds - self.longer / 2
        elapsed = max(now - self.began_at, 0.0)
        # The root of: step * middle + step^2 * longer / 2 = elapsed; in a form that bears longer = 0.
        root = 2 * elapsed / (middle + sqrt(middle * middle + 2 * self.longer * elapsed))
        ended = min(int(root), self.steps - 1)
        while ended < self.steps - 1 and self.end(ended + 1) < now:
            ended += 1
        while ended and self.end(ended) >= now:
            ended -= 1
        return ended


def block_edges(sequences: Iterable[Sequence], steps: int, block_size: int) -> list[tuple[Sequence, int]]:
    """(sequence, its tokens with those of the step), in the order in which one decoding step after the other
    comes to a sequence that begins or completes a block.
    """
    edges: list[tuple[int, int, Sequence, int]] = []
    for place, sequence in enumerate(sequences):
        length = sequence.length
        to_first = -length % block_size  # steps until the latest block is complete; 0: it is
        if to_first > steps:
            continue
        completed = range(to_first or block_size, steps + 1, block_size)
        begun = range(to_first + 1, steps + 1, block_size)
        edges += [(step, place, sequence, length + step) for step in chain(completed, begun)]
    edges.sort(key=itemgetter(0, 1))
    return [(sequence, tokens) for _, _, sequence, tokens in edges]


def foresee(
    batch: Batch,
    running: Collection[Sequence],
    waiting: Iterable[Sequence],
    slots: AdapterSlots,
    pool: BlockPool,
    config: EngineConfig,
) -> tuple[int, bool]:
    """The steps of a leap, of which the one under way, `batch`, is the first; and whether the leap is closed.

    Fewer than 2: no leap. There may be more to come than it says where blocks are nearly short.
    """
    steps = _alike(batch, running)
    if steps < 2:
        return steps, False
    closed, head, budget = False, None, config.max_num_batched_tokens - len(running)
    if not budget or len(running) >= config.max_num_seqs:
        closed = True
    else:
        head = next((each for each in waiting if slots.can_take(each.request.adapter)), None)
        closed = head is not None
    while steps > 1 and not (
        _has_blocks(steps - 1, running, pool, config.block_size)
        and (head is None or _stays_out(head, budget, steps - 1, running, pool, config.block_size))
    ):
        steps //= 2
    return steps, closed


def _alike(batch: Batch, running: Collection[Sequence]) -> int:
    """How many steps give each running sequence one token that is not its first, until one is finished."""
    if batch.decodes != len(running) or batch.prefills or batch.load_seconds:
        return 0
    if not all(each.produced and each.computed + 1 == each.length for each in running):
        return 0
    return min((each.request.output_tokens - each.produced for each in running), default=0)


def _growth(steps: int, running: Iterable[Sequence], block_size: int) -> int:
    """The blocks that `steps` more take."""
    return sum(-(-(each.length + steps) // block_size) - each.table.blocks for each in running)


def _has_blocks(steps: int, running: Iterable[Sequence], pool: BlockPool, block_size: int) -> bool:
    return _growth(steps, running, block_size) <= pool.free


def _stays_out(
    head: Sequence, budget: int, steps: int, running: Iterable[Sequence], pool: BlockPool, block_size: int
) -> bool:
    """Whether `head` lacks blocks now and after each of `steps` more."""
    hashes = head.request.block_hashes
    matched, tokens = first_chunk(head, pool, block_size, budget)
    if pool.fits(hashes, matched, matched - (-tokens // block_size)):
        return False
    # There will only be fewer. So it stays out, unless the prefix that it finds changes or comes to be held.
    prefix = set(hashes[: matched + 1])
    return prefix.isdisjoint(pool.evicted_for(_growth(steps, running, block_size))) and all(
        prefix.isdisjoint(
            each.request.block_hashes[each.table.published : (each.length + steps) // block_size]
        )
        for each in running
    )
