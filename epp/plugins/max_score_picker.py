"""max-score-picker: the best totals win; among equals, the endpoint not used for longest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from epp.datastore.endpoints import Candidates, Floats, Slots

if TYPE_CHECKING:
    import random

# Totals closer than this are equal: sums of the same scores may differ in their last bits.
_EPSILON = 1e-9


class MaxScorePicker:
    """Picks up to `max_endpoints`, best first."""

    def __init__(self, max_endpoints: int = 1) -> None:
        self._max_endpoints = max(1, max_endpoints)

    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Slots:
        """Indexes of the best candidates."""
        if self._max_endpoints == 1:
            tied = np.flatnonzero(totals >= np.maximum.reduce(totals) - _EPSILON)
            return tied if len(tied) == 1 else tied[[endpoints.picked_at[tied].argmin()]]
        ranks = np.round(totals / _EPSILON)
        return np.lexsort((endpoints.picked_at, -ranks))[: self._max_endpoints]
