"""endpoint-attribute-filter: a comparison with one number, and what becomes of those that lack it."""

from __future__ import annotations

from typing import Literal

import pytest

from epp.plugins.endpoint_attribute_filter import EndpointAttributeFilter, FilterAlgorithm, Threshold
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
