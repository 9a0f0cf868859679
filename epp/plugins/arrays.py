"""Arithmetic that several plugins share. `item(argmax())` takes a third of the time of `maximum.reduce()`."""

from __future__ import annotations

import math

import numpy as np

from epp.datastore.endpoints import Floats, Mask


def least_is_best(values: Floats) -> Floats | float:
    """(max - x) / (max - min) over the known values: the least scores 1, the most 0; 1 where all are equal.

    NaN means unknown and scores 0 beside known values: what is not known is not taken for idle.
    """
    if not len(values):
        return 1.0
    low, high = values.item(values.argmin()), values.item(values.argmax())
    if low == high:
        return 1.0
    if not math.isnan(low):  # argmin finds a NaN if there is one
        spread: Floats = (high - values) / (high - low)
        return spread
    return _of_known(values)


def stays(mask: Mask, *, or_all: bool) -> Mask | None:
    """`mask` as a filter's answer: None, which keeps all, if it keeps all or, with `or_all`, nobody."""
    count = int(np.count_nonzero(mask))
    return None if count == len(mask) or (or_all and not count) else mask


def _of_known(values: Floats) -> Floats | float:
    low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    if low == high:
        return np.equal(values, low).astype(np.float64)
    if math.isnan(low):  # all unknown
        return 1.0
    scores: Floats = np.fmax((high - values) / (high - low), 0.0)  # of NaN and 0 fmax takes 0
    return scores
