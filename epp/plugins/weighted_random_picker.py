"""weighted-random-picker: a candidate's chance is its share of the totals.

Several are drawn without replacement by reservoir keys, after Efraimidis and Spirakis (A-Res): each candidate
draws U ** (1 / total), and the largest keys win. Here its logarithm, log(U) / total, which orders them the
same and does not run out of digits where totals are small. For one the draw falls straight into the sums of
the totals: the same chances, at 13 us for a thousand candidates instead of 600.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from epp.datastore.endpoints import Candidates, Floats
from epp.plugins.max_score_picker import MaxNumOfEndpoints
from epp.plugins.random_picker import RandomPicker

if TYPE_CHECKING:
    import random


@dataclass
class WeightedRandomPicker:
    """Picks endpoints at random, each with a chance in proportion to its total.

    Totals of 0 or less have no chance beside larger ones; where there are no larger ones all have the same.
    """

    max_num_of_endpoints: MaxNumOfEndpoints = 1

    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Sequence[int]:
        """Distinct indexes, in the order in which they were drawn; totals of 0 last."""
        if totals.item(totals.argmax()) <= 0:
            return RandomPicker(self.max_num_of_endpoints).pick(totals, endpoints, rng)
        if self.max_num_of_endpoints <= 1:
            return (_draw(totals, rng),)
        keys = [_key(total, rng) for total in totals.tolist()]
        order: list[int] = np.argsort(np.negative(keys), kind="stable").tolist()
        return order[: self.max_num_of_endpoints]


def _draw(totals: Floats, rng: random.Random) -> int:
    sums = np.add.accumulate(np.maximum(totals, 0.0))
    drawn = rng.random() * sums.item(-1)
    # Rounding may draw the whole sum, which is beyond the last: then it is where the whole sum is reached.
    at = min(drawn, math.nextafter(sums.item(-1), 0.0))
    return int(sums.searchsorted(at, side="right"))


def _key(total: float, rng: random.Random) -> float:
    return math.log(1.0 - rng.random()) / total if total > 0 else -math.inf  # 1 - random() is never 0
