"""max-score-picker: the best totals win; among equals, the endpoint not used for longest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from epp.config.constraints import Doc
from epp.datastore.endpoints import Candidates, Floats

if TYPE_CHECKING:
    import random

# Totals closer than this are equal: sums of the same scores may differ in their last bits.
_EPSILON = 1e-9

MaxNumOfEndpoints = Annotated[int, Doc("endpoints to pick: the best and its fallbacks; less than 1 means 1")]


@dataclass
class MaxScorePicker:
    """Picks the endpoints with the best totals.

    Among equal totals the one that was not picked for longest wins, where the reference draws one: equals
    take turns, and a decision can be recomputed.
    """

    max_num_of_endpoints: MaxNumOfEndpoints = 1

    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Sequence[int]:
        """Indexes of the best candidates."""
        if self.max_num_of_endpoints <= 1:
            best = int(totals.argmax())
            tied = (totals >= totals.item(best) - _EPSILON).nonzero()[0]
            return (best,) if len(tied) == 1 else (int(tied[endpoints.picked_at[tied].argmin()]),)
        ranks = np.round(totals / _EPSILON)
        order: list[int] = np.lexsort((endpoints.picked_at, -ranks))[: self.max_num_of_endpoints].tolist()
        return order
