"""Every command line that the reference's charts and ours render starts this picker."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from epp.config.settings import ServeSettings, read_settings
from tests.charts import reference
from tests.charts.objects import GUIDE, Objects, template

ENVIRON = {"NAMESPACE": "n", "POD_NAME": "r-epp-6c7d9-x2x4z"}


def settings(argv: list[str]) -> ServeSettings:
    return read_settings(argv, ENVIRON)


def rendered(objects: Objects) -> list[str]:
    """The arguments as Kubernetes gives them to the process: $(NAMESPACE) is replaced."""
    return [word.replace("$(NAMESPACE)", ENVIRON["NAMESPACE"]) for word in objects.container["args"]]


CASES = [
    pytest.param(
        version, server, {"replicas": replicas, **shape}, id=f"{version} {server} x{replicas} {shape or ''}"
    )
    for (version, server), replicas in itertools.product(reference.SERVER_FLAGS, (1, 3))
    for shape in ({}, {"v1alpha2": True} if version == "v1.0.1" else {"pool": False})
]


@pytest.mark.parametrize(("version", "server", "shape"), CASES)
def test_the_references_arguments(version: str, server: str, shape: dict[str, Any]) -> None:
    found = settings(reference.argv(version, server, **shape))

    if shape.get("pool", True):
        group = "inference.networking.x-k8s.io" if shape.get("v1alpha2") else "inference.networking.k8s.io"
        assert (found.pool_name, found.pool_namespace, found.pool_group) == ("r", "n", group)
    else:
        assert (found.endpoint_selector, found.endpoint_target_ports) == ("app=vllm,zone=a", (8000,))
    assert found.config_file == "/config/default-plugins.yaml"
    assert found.ha_enable_leader_election == (shape["replicas"] > 1)
    assert found.verbosity == 1
    assert (found.total_queued_requests_metric is None) == (server == "vllm")


@pytest.mark.parametrize("server", ["vllm", "sglang", "triton-tensorrt-llm", "trtllm-serve"])
def test_our_arguments_say_the_same_as_the_references(server: str) -> None:
    objects = template(
        "inferencepool", GUIDE, f"inferencePool.modelServerType={server}", "inferenceExtension.flags.v=1",
        "inferenceExtension.replicas=3",
    )  # fmt: skip
    ours, theirs = settings(rendered(objects)), settings(reference.argv("v1.5", server, replicas=3))

    # Of LoRA ours says for all that vLLM alone has it, and drains as long as the pod may; the shape of the
    # cache each engine knows by itself.
    aside: dict[str, Any] = {"lora_info_metric": None, "cache_info_metric": None, "drain_timeout": 0.0}
    assert dataclasses.replace(ours, **aside) == dataclasses.replace(theirs, **aside)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, {"verbosity": 2, "drain_timeout": 120.0, "tracing": False}, id="nothing"),
        pytest.param(
            {"flags": {"v": 4, "secure-serving": False}}, {"verbosity": 4, "secure_serving": False}, id="map"
        ),
        pytest.param(
            {
                "flags": [
                    {"name": "v", "value": 4},
                    {"name": "health-checking"},
                    {"name": "tracing", "value": True},
                ]
            },
            {"verbosity": 4, "health_checking": True, "tracing": True},
            id="list",
        ),
        pytest.param({"replicas": 2}, {"ha_enable_leader_election": True}, id="replicas"),
        pytest.param(
            {"replicas": 2, "leaderElection": False}, {"ha_enable_leader_election": False}, id="all serve"
        ),
        pytest.param({"tracing": {"enabled": True}}, {"tracing": True}, id="tracing"),
        pytest.param(
            {"monitoring": {"prometheus": {"auth": {"enabled": False}}}},
            {"metrics_endpoint_auth": False},
            id="open",
        ),
        pytest.param(
            {"metricsDataSource": {"scheme": "https", "path": "/m", "insecureSkipVerify": False}},
            {
                "model_server_metrics_scheme": "https",
                "model_server_metrics_path": "/m",
                "model_server_metrics_https_insecure_skip_verify": False,
            },
            id="metrics",
        ),
    ],
)
def test_values_arrive_as_settings(values: dict[str, Any], expected: dict[str, Any]) -> None:
    objects = template("inferencepool", GUIDE, values={"inferenceExtension": values})
    found = settings(rendered(objects))
    assert {name: getattr(found, name) for name in expected} == expected


def test_standalone_without_a_pool() -> None:
    server = {"createInferencePool": False, "endpointSelector": "app=vllm,zone=a", "targetPorts": "8000,8001"}
    objects = template("standalone", values={"inferenceExtension": {"endpointsServer": server}})
    found = settings(rendered(objects))
    assert (found.pool_name, found.endpoint_selector) == ("", "app=vllm,zone=a")
    assert found.endpoint_target_ports == (8000, 8001)
    assert found.health_checking  # Envoy asks
