"""InferencePools of both versions."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from epp.kubernetes.objects import EXPERIMENTAL_GROUP, STABLE_GROUP
from epp.kubernetes.pools import POOL_READERS, Pool, pool_name_of
from tests.kubernetes_api import pool


def read(group: str, value: dict[str, Any]) -> Pool:
    return POOL_READERS[group](msgspec.Raw(json.dumps(value).encode()))


OLD = {
    "metadata": {"name": "demo"},
    "spec": {"selector": {"app": "vllm"}, "targetPortNumber": 8000, "extensionRef": {"name": "epp"}},
}


def test_both_versions_say_the_same() -> None:
    expected = Pool({"app": "vllm"}, (8000,))
    assert read(STABLE_GROUP, pool("demo", 8000)) == expected
    assert read(EXPERIMENTAL_GROUP, OLD) == expected


def test_ports_keep_their_order_and_come_once() -> None:
    assert read(STABLE_GROUP, pool("demo", 8001, 8000, 8001)).target_ports == (8001, 8000)


def test_a_pool_about_to_go_says_so() -> None:
    going = pool("demo")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert read(STABLE_GROUP, going).deleted


@pytest.mark.parametrize(
    ("group", "value"),
    [
        (STABLE_GROUP, OLD),
        (EXPERIMENTAL_GROUP, pool("demo")),
        (STABLE_GROUP, pool("demo", 70000)),
        (
            STABLE_GROUP,
            {"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {}}, "targetPorts": []}},
        ),
    ],
)
def test_what_is_no_pool_is_an_error(group: str, value: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(group, value)


@pytest.mark.parametrize(
    ("pod", "name"),
    [("my-epp-7d9f8c6b5d-x2vqk", "my-epp"), ("epp", "epp"), ("epp-0", "epp-0"), ("", "endpoints")],
)
def test_a_pool_without_a_resource_is_called_as_the_deployment(pod: str, name: str) -> None:
    assert pool_name_of(pod) == name
