"""Columns by slot, as the datastore has them, that a forecast keeps beside it."""

from __future__ import annotations

import numpy as np

from epp.datastore.endpoints import Floats


def grown(column: Floats, size: int, fill: float) -> Floats:
    """`column` with at least `size` slots, the new ones `fill`; itself if it has as many."""
    missing = size - len(column)
    return column if missing <= 0 else np.concatenate([column, np.full(missing, fill)])
