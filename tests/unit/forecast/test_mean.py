"""A mean that forgets."""

from __future__ import annotations

import math

import pytest

from epp.forecast.mean import FadingMean


def test_the_first_is_believed_as_much_as_one_value() -> None:
    mean = FadingMean(2.0, memory=1e9)
    assert mean.value == 2.0
    mean.add(4.0)
    assert mean.value == pytest.approx(3.0)
    mean.add(9.0)
    assert mean.value == pytest.approx(5.0)


def test_by_hand() -> None:
    mean = FadingMean(8.0, memory=2.0)
    mean.add(2.0)  # (8 / 2 + 2) / (1 / 2 + 1)
    assert mean.value == pytest.approx(4.0)
    mean.add(5.0)  # (6 / 2 + 5) / (1.5 / 2 + 1)
    assert mean.value == pytest.approx(8 / 1.75)


def test_after_as_many_as_its_memory_a_value_counts_1_e() -> None:
    mean = FadingMean(0.0, memory=100.0)
    for _ in range(2000):
        mean.add(0.0)
    mean.add(1.0)
    fresh = mean.value
    for _ in range(100):
        mean.add(0.0)
    assert mean.value / fresh == pytest.approx(1 / math.e, rel=0.01)


def test_it_follows_a_change() -> None:
    mean = FadingMean(1.0, memory=10.0)
    for _ in range(100):
        mean.add(7.0)
    assert mean.value == pytest.approx(7.0, abs=1e-3)
    assert repr(mean) == "<FadingMean 7>"
