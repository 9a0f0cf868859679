"""endpoint-attribute-filter: who stays by one number, and what becomes of those that lack it."""

from __future__ import annotations

from typing import Literal

import pytest

from epp.plugins.endpoint_attribute_filter import (
    Between,
    EndpointAttributeFilter,
    FilterAlgorithm,
    Percentile,
    Threshold,
    TopK,
)
from tests.pools import everyone, labelled, load, request, store_of, who_stays

Operator = Literal["LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual", "Equal", "NotEqual"]


def threshold(operator: Operator, value: float) -> FilterAlgorithm:
    return FilterAlgorithm("threshold", Threshold(operator, value))


@pytest.mark.parametrize(
    ("operator", "passing", "failing"),
    [
        ("LessThan", [0, 3], [0]),
        ("LessThanOrEqual", [0, 1, 3], [0, 1]),
        ("GreaterThan", [2, 3], [2]),
        ("GreaterThanOrEqual", [1, 2, 3], [1, 2]),
        ("Equal", [1, 3], [1]),
        ("NotEqual", [0, 2, 3], [0, 2]),
    ],
)
def test_operators(operator: Operator, passing: list[int], failing: list[int]) -> None:
    candidates = everyone(store_of(load(4), load(5), load(6), None))
    for on_missing, stay in (("Pass", passing), ("Fail", failing)):
        each = EndpointAttributeFilter("waiting-queue", threshold(operator, 5), on_missing=on_missing)  # type: ignore[arg-type]  # of a tuple
        assert who_stays(each.filter(request(), candidates), candidates) == [f"pod-{n}" for n in stay]


@pytest.mark.parametrize(("fallback", "stay"), [(False, []), (True, ["pod-0", "pod-1"])])
def test_when_nobody_is_left(fallback: bool, stay: list[str]) -> None:
    candidates = everyone(store_of(load(4), load(5)))
    each = EndpointAttributeFilter("waiting-queue", threshold("LessThan", 1), fallback_on_empty=fallback)
    assert who_stays(each.filter(request(), candidates), candidates) == stay


def test_a_label() -> None:
    candidates = everyone(labelled({"memory": "80"}, {"memory": "24"}, {"memory": "lots"}))
    each = EndpointAttributeFilter("memory", threshold("GreaterThanOrEqual", 40), on_missing="Fail")
    assert who_stays(each.filter(request(), candidates), candidates) == ["pod-0"]


def test_nobody() -> None:
    candidates = everyone(store_of())
    each = EndpointAttributeFilter("waiting-queue", threshold("LessThan", 1))
    assert who_stays(each.filter(request(), candidates), candidates) == []


@pytest.mark.parametrize(
    ("algorithm", "stay"),
    [
        (FilterAlgorithm("range", range=Between(2, 5)), [0, 1, 3]),
        (FilterAlgorithm("range", range=Between(3, 4)), []),
        (FilterAlgorithm("topK", top_k=TopK(1)), [2]),
        (FilterAlgorithm("topK", top_k=TopK(2)), [0, 2]),  # of equal ones the first
        (FilterAlgorithm("topK", top_k=TopK(1, higher_is_better=False)), [3]),
        (FilterAlgorithm("topK", top_k=TopK(9)), [0, 1, 2, 3]),
        # 2, 5, 5, 9: the nearest rank of 25 % is the first, of 50 % the second, of 76 % the fourth.
        (FilterAlgorithm("percentile", percentile=Percentile(25, higher_is_better=False)), [3]),
        (FilterAlgorithm("percentile", percentile=Percentile(50)), [0, 1, 2]),
        (FilterAlgorithm("percentile", percentile=Percentile(76)), [2]),
        (FilterAlgorithm("percentile", percentile=Percentile(0)), [0, 1, 2, 3]),
        (FilterAlgorithm("percentile", percentile=Percentile(100, higher_is_better=False)), [0, 1, 2, 3]),
    ],
)
def test_the_other_algorithms(algorithm: FilterAlgorithm, stay: list[int]) -> None:
    candidates = everyone(store_of(load(5), load(5), load(9), load(2), None))
    known = EndpointAttributeFilter("waiting-queue", algorithm, on_missing="Fail")
    assert who_stays(known.filter(request(), candidates), candidates) == [f"pod-{n}" for n in stay]
    both = EndpointAttributeFilter("waiting-queue", algorithm)
    assert who_stays(both.filter(request(), candidates), candidates) == [f"pod-{n}" for n in (*stay, 4)]


@pytest.mark.parametrize(
    "algorithm",
    [
        FilterAlgorithm("topK", top_k=TopK(2)),
        FilterAlgorithm("percentile", percentile=Percentile(50)),
        FilterAlgorithm("range", range=Between(0, 1)),
    ],
)
def test_where_nobody_has_the_attribute(algorithm: FilterAlgorithm) -> None:
    candidates = everyone(store_of(None, None))
    each = EndpointAttributeFilter("waiting-queue", algorithm, on_missing="Fail")
    assert who_stays(each.filter(request(), candidates), candidates) == []


@pytest.mark.parametrize(
    ("algorithm", "fault"),
    [
        (FilterAlgorithm("topK", threshold=Threshold("Equal", 1)), "algorithm.topK: is missing"),
        (FilterAlgorithm("threshold"), "algorithm.threshold: is missing"),
        (FilterAlgorithm("range", range=Between(2, 1)), "min has to be at most max"),
    ],
)
def test_algorithms_that_make_no_sense(algorithm: FilterAlgorithm, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        EndpointAttributeFilter("waiting-queue", algorithm)
