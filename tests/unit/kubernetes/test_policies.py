"""Objectives, rewrites and the models before them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from epp.kubernetes.policies import Policy, PoolRef, merged, read_model, read_objective, read_rewrite
from epp.types import Objective, Rewrite, RewriteTarget
from tests.kubernetes_api import objective

POOL = {"name": "demo", "group": "inference.networking.k8s.io", "kind": "InferencePool"}


def made(read: Callable[[msgspec.Raw], Policy], name: str, spec: dict[str, Any], day: int = 1) -> Policy:
    metadata = {"name": name, "creationTimestamp": f"2026-01-{day:02}T00:00:00Z"}
    value = {"metadata": metadata, "spec": {"poolRef": POOL, **spec}}
    return read(msgspec.Raw(json.dumps(value).encode()))


def rules(*rules: tuple[list[Any] | None, str]) -> dict[str, Any]:
    return {"rules": [{"matches": matches, "targets": [{"modelRewrite": to}]} for matches, to in rules]}


def exact(model: str) -> dict[str, Any]:
    return {"model": {"type": "Exact", "value": model}}


def test_an_objective_is_a_priority_by_name() -> None:
    read = read_objective(msgspec.Raw(json.dumps(objective("food", -5)).encode()))
    assert read.objectives == (Objective("food", -5),)
    assert read.pool == PoolRef("demo", "inference.networking.k8s.io")
    assert made(read_objective, "plain", {}).objectives == (Objective("plain", 0),)


@pytest.mark.parametrize(
    ("read", "spec", "group"),
    [
        (read_objective, {}, "inference.networking.k8s.io"),
        (read_rewrite, {"rules": []}, "inference.networking.k8s.io"),
        (read_model, {"modelName": "m"}, "inference.networking.x-k8s.io"),
    ],
)
def test_a_reference_without_a_group_has_the_kinds_default(
    read: Any, spec: dict[str, Any], group: str
) -> None:
    assert made(read, "a", {"poolRef": {"name": "demo"}, **spec}).pool == PoolRef("demo", group)


def test_a_rewrite_has_rules() -> None:
    spec = {
        "rules": [
            {
                "matches": [exact("a"), {"model": {"value": "b"}}],
                "targets": [{"modelRewrite": "x", "weight": 90}, {"modelRewrite": "y", "weight": 10}],
            },
            {"targets": [{"modelRewrite": "z"}]},
        ]
    }
    assert made(read_rewrite, "canary", spec).rewrites == (
        Rewrite("canary", ("a", "b"), (RewriteTarget("x", 90), RewriteTarget("y", 10))),
        Rewrite("canary", (), (RewriteTarget("z"),)),
    )


@pytest.mark.parametrize("matches", [None, [], [{}], [exact("a"), {}]])
def test_a_rule_without_a_model_is_for_all(matches: list[Any] | None) -> None:
    (rewrite,) = made(read_rewrite, "r", rules((matches, "x"))).rewrites
    assert rewrite.models == ()


@pytest.mark.parametrize(
    ("criticality", "priority"), [("Critical", 1), ("Standard", 0), ("Sheddable", -1), (None, 0)]
)
def test_a_model_has_a_priority(criticality: str | None, priority: int) -> None:
    read = made(read_model, "m", {"modelName": "llama", "criticality": criticality})
    assert read.objectives == (Objective("m", priority, model="llama"),)
    assert read.rewrites == ()


def test_a_model_may_have_targets() -> None:
    spec = {"modelName": "llama", "targetModels": [{"name": "v1", "weight": 9}, {"name": "v2", "weight": 1}]}
    (rewrite,) = made(read_model, "m", spec).rewrites
    assert rewrite == Rewrite("m", ("llama",), (RewriteTarget("v1", 9), RewriteTarget("v2", 1)))


@pytest.mark.parametrize(
    ("read", "spec"),
    [
        (read_objective, {"priority": "high"}),
        (read_objective, {"poolRef": None}),
        (read_rewrite, {}),
        (read_rewrite, {"rules": [{"targets": []}]}),
        (read_rewrite, {"rules": [{"targets": [{"modelRewrite": "x", "weight": 0}]}]}),
        (read_rewrite, rules(([{"model": {"type": "Regex", "value": "a"}}], "x"))),
        (read_model, {"modelName": "m", "criticality": "Urgent"}),
    ],
)
def test_what_cannot_be_is_an_error(read: Any, spec: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        made(read, "a", spec)


def test_older_objects_go_first_and_named_models_before_all() -> None:
    policies = [
        made(read_rewrite, "new", rules(([exact("a")], "new")), day=3),
        made(read_rewrite, "all", rules((None, "all")), day=1),
        made(read_rewrite, "b-old", rules(([exact("a")], "b1"), ([exact("a")], "b2")), day=2),
        made(read_rewrite, "a-old", rules(([exact("a")], "a")), day=2),
    ]
    _, rewrites = merged(policies)
    assert [rewrite.targets[0].model for rewrite in rewrites] == ["a", "b1", "b2", "new", "all"]


def test_of_two_objectives_with_a_name_or_a_model_the_older_counts() -> None:
    policies = [
        made(read_objective, "food", {"priority": 2}, day=2),
        made(read_objective, "food", {"priority": 1}, day=1),
        made(read_model, "m2", {"modelName": "food", "criticality": "Critical"}, day=2),
        made(read_model, "m1", {"modelName": "food", "criticality": "Sheddable"}, day=1),
    ]
    objectives, _ = merged(policies)
    assert set(objectives) == {Objective("food", 1), Objective("m1", -1, model="food")}
