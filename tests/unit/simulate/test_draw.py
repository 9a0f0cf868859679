"""Each way to write a number drawn by chance, by its mean, median and limits."""

from __future__ import annotations

import random
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.simulate.draw import Draw


def drawn(text: str) -> list[float]:
    draw, rng = Draw(text), random.Random(1)
    return [draw.draw(rng) for _ in range(20_000)]


def test_always_the_same() -> None:
    assert set(drawn("250")) == {250.0}


def test_uniform() -> None:
    values = drawn("20-400")
    assert 20 <= min(values) < 25
    assert 395 < max(values) <= 400
    assert mean(values) == pytest.approx(210, rel=0.02)


def test_exponential() -> None:
    values = drawn("~250")
    assert mean(values) == pytest.approx(250, rel=0.03)
    assert median(values) == pytest.approx(250 * 0.6931, rel=0.03)


def test_log_normal() -> None:
    values = drawn("250x1.2")
    assert median(values) == pytest.approx(250, rel=0.03)
    assert mean(values) == pytest.approx(250 * 2.054, rel=0.1)  # exp(1.2^2 / 2)


def test_pareto() -> None:
    values = drawn("300p2")
    assert 300 <= min(values) < 301
    assert median(values) == pytest.approx(300 * 2**0.5, rel=0.03)


def test_cut() -> None:
    values = drawn("300p1.1max1000")
    assert max(values) == 1000
    assert median(values) == pytest.approx(median(drawn("300p1.1")))


def test_a_length_has_at_least_one_token() -> None:
    assert Draw("0").tokens(random.Random(1)) == 1
    assert Draw("2.6").tokens(random.Random(1)) == 3


@pytest.mark.parametrize("text", ["", "x", "-5", "20-", "~", "1e9", "250max", "max5", "2x3x4", "1" * 10])
def test_nothing_to_draw_from(text: str) -> None:
    with pytest.raises(ValueError, match="uniform"):
        Draw(text)


@given(
    st.sampled_from(["{}", "{}-{}", "~{}", "{}x{}", "{}p{}", "{}x{}max{}"]),
    st.lists(st.integers(0, 999_999_999), min_size=3, max_size=3),
    st.integers(),
)
def test_whatever_numbers_are_given_lengths_are_bounded(form: str, numbers: list[int], seed: int) -> None:
    assert 1 <= Draw(form.format(*numbers)).tokens(random.Random(seed)) <= 2_000_000


def test_repr_and_equality() -> None:
    assert repr(Draw("~250")) == "Draw(~250)"
    assert Draw("~250") == Draw("~250") != Draw("250")
    assert len({Draw("~250"), Draw("~250")}) == 1
