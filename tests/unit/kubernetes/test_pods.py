"""Pods as endpoints."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from epp.kubernetes.pods import ACTIVE_PORTS, endpoints_of, read_pod
from epp.types import EndpointSpec
from tests.kubernetes_api import pod


def endpoints(value: dict[str, Any], *ports: int) -> list[EndpointSpec]:
    return list(endpoints_of(read_pod(msgspec.Raw(json.dumps(value).encode())), ports or (8000,)))


def test_a_ready_pod_is_a_candidate() -> None:
    assert endpoints(pod("a", "10.0.0.1")) == [EndpointSpec("a", "10.0.0.1", 8000, {"app": "vllm"})]


def test_each_target_port_is_an_endpoint_named_by_its_rank() -> None:
    assert [(e.name, e.address) for e in endpoints(pod("a", "fd00::1"), 8000, 8001)] == [
        ("a-rank-0", "[fd00::1]:8000"),
        ("a-rank-1", "[fd00::1]:8001"),
    ]


@pytest.mark.parametrize(
    ("annotation", "names"),
    [
        ("8001", ["a-rank-1"]),
        (" 8001 ,8000,9", ["a-rank-0", "a-rank-1"]),
        ("9000", []),
        ("8000,x,-1", ["a-rank-0"]),
        ("x", []),
        (" ", ["a-rank-0", "a-rank-1"]),
    ],
)
def test_an_annotation_says_which_ports_are_active(annotation: str, names: list[str]) -> None:
    value = pod("a", annotations={ACTIVE_PORTS: annotation})
    assert [endpoint.name for endpoint in endpoints(value, 8000, 8001)] == names


def test_a_pod_on_its_way_out_is_kept_without_new_requests() -> None:
    (terminating,) = endpoints(pod("a", deletionTimestamp="2026-01-01T00:00:00Z"))
    (unready,) = endpoints(pod("a", ready=False))
    assert not terminating.ready
    assert not unready.ready


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
def test_a_pod_whose_server_does_not_run_is_no_endpoint(phase: str) -> None:
    value = pod("a", ready=False)
    value["status"]["phase"] = phase
    assert endpoints(value) == []


def test_a_pod_without_an_address_is_no_endpoint() -> None:
    assert endpoints(pod("a", "")) == []
    assert endpoints({"metadata": {"name": "a"}}) == []


def test_a_pod_that_says_only_that_it_is_ready_is_believed() -> None:
    status = {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    (endpoint,) = endpoints({"metadata": {"name": "a"}, "status": status})
    assert endpoint.ready


@pytest.mark.parametrize(("label", "engine"), [("sglang", "sglang"), ("unheard-of", "vllm")])
def test_a_label_names_the_engine(label: str, engine: str) -> None:
    value = pod("a", labels={"inference.networking.k8s.io/engine-type": label})
    assert endpoints(value)[0].engine == engine


@pytest.mark.parametrize("text", ['{"metadata":{}}', '{"metadata":{"name":"a"},"status":{"podIP":3}}', "[]"])
def test_what_is_no_pod_is_an_error(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_pod(msgspec.Raw(text.encode()))
