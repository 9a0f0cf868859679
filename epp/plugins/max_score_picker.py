"""max-score-picker: the best totals win; among equals, the endpoint not used for longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from epp.datastore.endpoints import Candidates, Floats

if TYPE_CHECKING:
    import random

# Totals closer than this are equal: sums of the same scores may differ in their last bits.
_EPSILON = 1e-9


class MaxScorePicker:
    """Picks up to `max_endpoints`, best first."""

    def __init__(self, max_endpoints: int = 1) -> None:
        self._max_endpoints = max(1, max_endpoints)

    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Sequence[int]:
        """Indexes of the best candidates."""
        if self._max_endpoints == 1:
            best = int(totals.argmax())
            tied = (totals >= totals[best] - _EPSILON).nonzero()[0]
            return (best,) if len(tied) == 1 else (int(tied[endpoints.picked_at[tied].argmin()]),)
        ranks = np.round(totals / _EPSILON)
        order: list[int] = np.lexsort((endpoints.picked_at, -ranks))[: self._max_endpoints].tolist()
        return order
