"""label-selector-filter and by-label: who stays by their labels."""

from __future__ import annotations

import pytest

from epp.plugins.label_selector_filter import ByLabelFilter, LabelRequirement, LabelSelectorFilter
from tests.pools import everyone, labelled, request, snapshot, spec, who_stays

POOL = labelled({"gpu": "h100", "zone": "a"}, {"gpu": "h100", "zone": "b"}, {"gpu": "l4"}, {})


@pytest.mark.parametrize(
    ("labels", "expressions", "stay"),
    [
        ({}, (), [0, 1, 2, 3]),
        ({"gpu": "h100"}, (), [0, 1]),
        ({"gpu": "h100", "zone": "b"}, (), [1]),
        ({"gpu": "a100"}, (), []),
        ({}, (LabelRequirement("gpu", "In", ("h100", "l4")),), [0, 1, 2]),
        ({}, (LabelRequirement("gpu", "NotIn", ("l4",)),), [0, 1, 3]),  # no label is no l4
        ({}, (LabelRequirement("zone", "Exists"),), [0, 1]),
        ({}, (LabelRequirement("zone", "DoesNotExist"),), [2, 3]),
        ({"gpu": "h100"}, (LabelRequirement("zone", "NotIn", ("a",)),), [1]),
        ({}, (LabelRequirement("gpu", "Exists"), LabelRequirement("zone", "DoesNotExist")), [2]),
    ],
)
def test_selectors(
    labels: dict[str, str], expressions: tuple[LabelRequirement, ...], stay: list[int]
) -> None:
    candidates = everyone(POOL)
    mask = LabelSelectorFilter(labels, expressions).filter(request(), candidates)
    assert who_stays(mask, candidates) == [f"pod-{number}" for number in stay]


def test_labels_that_change() -> None:
    store = labelled({"zone": "a"})
    only_b = LabelSelectorFilter({"zone": "b"})
    assert who_stays(only_b.filter(request(), everyone(store)), everyone(store)) == []
    store.apply(snapshot(spec(0, zone="b")))
    assert who_stays(only_b.filter(request(), everyone(store)), everyone(store)) == ["pod-0"]


def test_where_all_stay_it_says_nothing() -> None:
    assert LabelSelectorFilter().filter(request(), everyone(POOL)) is None
    assert LabelSelectorFilter({"gpu": "h100"}).filter(request(), everyone(labelled())) is None


@pytest.mark.parametrize(
    "requirement",
    [LabelRequirement("a", "In"), LabelRequirement("a", "NotIn"), LabelRequirement("a", "Exists", ("b",))],
)
def test_requirements_that_make_no_sense(requirement: LabelRequirement) -> None:
    with pytest.raises(ValueError, match=r"matchExpressions\[0\]: the operator \w+ (needs|takes no) values"):
        LabelSelectorFilter(match_expressions=(requirement,))


@pytest.mark.parametrize(
    ("values", "allows_no_label", "stay"),
    [
        (("h100",), False, [0, 1]),
        (("h100",), True, [0, 1, 3]),
        (("h100", "l4"), False, [0, 1, 2]),
        ((), True, [3]),
    ],
)
def test_by_label(values: tuple[str, ...], allows_no_label: bool, stay: list[int]) -> None:
    candidates = everyone(POOL)
    mask = ByLabelFilter("gpu", values, allows_no_label).filter(request(), candidates)
    assert who_stays(mask, candidates) == [f"pod-{number}" for number in stay]


def test_a_label_that_keeps_nothing() -> None:
    with pytest.raises(ValueError, match="validValues"):
        ByLabelFilter("gpu")
