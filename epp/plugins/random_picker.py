"""random-picker: any candidate, whatever the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from epp.datastore.endpoints import Candidates, Floats
from epp.plugins.max_score_picker import MaxNumOfEndpoints

if TYPE_CHECKING:
    import random


@dataclass
class RandomPicker:
    """Picks endpoints at random, each with the same chance."""

    max_num_of_endpoints: MaxNumOfEndpoints = 1

    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Sequence[int]:
        """Distinct indexes in random order."""
        count = len(totals)
        if self.max_num_of_endpoints <= 1:
            return (rng.randrange(count),)
        return rng.sample(range(count), min(self.max_num_of_endpoints, count))
