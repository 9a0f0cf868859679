"""Columns that grow with the pool."""

from __future__ import annotations

import numpy as np
import pytest

from epp.forecast.columns import grown


def test_new_slots_are_filled_and_old_ones_stay() -> None:
    assert grown(np.array([1.0, 2.0]), 4, np.inf).tolist() == [1.0, 2.0, np.inf, np.inf]
    assert grown(np.zeros(0), 2, -1.0).tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("size", [0, 1, 2])
def test_a_column_that_has_room_is_the_same(size: int) -> None:
    column = np.array([1.0, 2.0])
    assert grown(column, size, 0.0) is column
