"""Many steps at once. Pure arithmetic over the rules of `epp.sim.engine`.

While every running sequence decodes and nobody waiting can be admitted, each step gives each sequence one
token. So each step reads as many tokens of context more than the one before as there are sequences, and takes
longer by the time of reading those: the ends of steps are a quadratic in their number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from math import sqrt
from operator import itemgetter

from epp.sim.sequence import Sequence


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
