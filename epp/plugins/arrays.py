"""Arithmetic that several scorers share."""

from __future__ import annotations

import numpy as np

from epp.datastore.endpoints import Floats


def least_is_best(values: Floats) -> Floats:
    """(max - x) / (max - min) over the known values: the least scores 1, the most 0; all 1 when equal.

    NaN means unknown and scores 0 beside known values: what is not known is not taken for idle.
    """
    if not len(values):
        return values
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    if high > low:
        scores: Floats = np.fmax((high - values) / (high - low), 0.0)  # of NaN and 0 fmax takes 0
        return scores
    if low == high:
        return np.equal(values, low).astype(np.float64)
    return np.ones(len(values))  # all unknown
