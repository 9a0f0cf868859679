from __future__ import annotations

import pytest

from epp.scrape.values import MAX_BLOCKS, MAX_REQUESTS, count, fraction, number, size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"48.0", 48.0),
        ("1.79e+09", 1.79e9),
        (" 3 ", 3.0),
        ("NaN", None),
        ("+Inf", None),
        ("-inf", None),
        ("1e999", None),
        ("None", None),
        ("", None),
        (b"\xff", None),
        (None, None),
    ],
)
def test_only_finite_numbers_are_numbers(text: str | bytes | None, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("value", "requests"),
    [
        (0.0, 0),
        (4.0, 4),
        (-0.0, 0),
        (-1.0, None),
        (MAX_REQUESTS, MAX_REQUESTS),
        (MAX_REQUESTS + 1, None),
        (None, None),
    ],
)
def test_a_count_is_from_zero_to_what_a_server_can_hold(value: float | None, requests: int | None) -> None:
    assert count(value) == requests


@pytest.mark.parametrize(
    ("value", "tokens"), [(0.0, None), (1.0, 1), (128.0, 128), (MAX_BLOCKS + 1, None), (None, None)]
)
def test_a_size_is_from_one(value: float | None, tokens: int | None) -> None:
    assert size(value) == tokens


@pytest.mark.parametrize(
    ("value", "share"), [(0.0, 0.0), (0.25, 0.25), (1.001, 1.0), (57.0, None), (-0.1, None), (None, None)]
)
def test_a_fraction_that_is_percent_is_not_believed(value: float | None, share: float | None) -> None:
    assert fraction(value) == share
