"""The metadata of the endpoint-picker protocol, read and written."""

from __future__ import annotations

from typing import Any

import pytest

from epp.extproc.names import (
    FILTER_NAMESPACE,
    SERVED,
    SUBSET,
    SUBSET_NAMESPACE,
    destination_metadata,
    read_served,
    read_subset,
)


def test_the_destination_stands_in_envoys_namespace() -> None:
    assert destination_metadata("10.0.0.1:80") == {
        "envoy.lb": {"x-gateway-destination-endpoint": "10.0.0.1:80"}
    }


@pytest.mark.parametrize(
    ("hint", "allowed"),
    [
        (["10.0.0.1:80", "10.0.0.2:80"], {"10.0.0.1:80", "10.0.0.2:80"}),
        ("10.0.0.1:80, 10.0.0.2", {"10.0.0.1:80", "10.0.0.2"}),
        (["[2001:db8::1]:80"], {"[2001:db8::1]:80"}),
        ([], set()),
        ("", set()),
        (["", "  "], set()),
        ([1.0, None, "10.0.0.1"], {"10.0.0.1"}),
        (7.0, set()),
        ({"a": "b"}, set()),
    ],
)
def test_a_hint_limits_the_choice_and_nothing_in_it_allows_nothing(hint: Any, allowed: set[str]) -> None:
    assert read_subset({SUBSET_NAMESPACE: {SUBSET: hint}}) == allowed


@pytest.mark.parametrize("metadata", [{}, {SUBSET_NAMESPACE: {}}, {"envoy.lb": {SUBSET: ["10.0.0.1"]}}])
def test_without_a_hint_there_is_no_limit(metadata: dict[str, dict[str, Any]]) -> None:
    assert read_subset(metadata) is None


def test_who_served_is_told_by_metadata_before_attributes() -> None:
    attributes = {FILTER_NAMESPACE: {"upstream.address": "10.0.0.2:80"}}
    assert read_served({"envoy.lb": {SERVED: "10.0.0.1:80"}}, attributes) == "10.0.0.1:80"
    assert read_served({}, attributes) == "10.0.0.2:80"
    assert read_served({"envoy.lb": {SERVED: 1.0}}, {}) == ""
    assert read_served({}, {}) == ""
