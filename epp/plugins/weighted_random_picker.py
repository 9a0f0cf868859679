"""weighted-random-picker: a candidate's chance is its share of the totals.

Sampling without replacement by reservoir keys, after Efraimidis and Spirakis (A-Res): each candidate draws
U ** (1 / total), and the largest keys win. Here its logarithm, log(U) / total, which orders them the same and
does not run out of digits where totals are small.
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
        """Distinct indexes, those that drew the largest keys first; totals of 0 last."""
        likely: list[int] = (totals > 0).nonzero()[0].tolist()
        if not likely:
            return RandomPicker(self.max_num_of_endpoints).pick(totals, endpoints, rng)
        keys = np.full(len(totals), -math.inf)
        for index in likely:
            keys[index] = math.log(1.0 - rng.random()) / totals.item(index)  # 1 - random() is never 0
        if self.max_num_of_endpoints <= 1:
            return (int(keys.argmax()),)
        order: list[int] = np.argsort(-keys, kind="stable").tolist()
        return order[: self.max_num_of_endpoints]
