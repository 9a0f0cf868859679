"""The chart `standalone`: the picker with an Envoy beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from epp.gateway.bootstrap import envoy_bootstrap
from epp.gateway.envoy import find_envoy
from epp.gateway.settings import GatewaySettings
from tests.charts.objects import CHARTS, GUIDE, Objects, faults, run, template

SELECTED = {"createInferencePool": False, "endpointSelector": "app=vllm", "targetPorts": 8000}


def without_pool(**values: Any) -> Objects:
    return template("standalone", values={"inferenceExtension": {"endpointsServer": SELECTED, **values}})


def test_lint() -> None:
    assert "0 chart(s) failed" in run("helm", "lint", CHARTS / "standalone", "--strict", "--set", GUIDE)


def test_with_a_pool() -> None:
    objects = template("standalone", GUIDE, "inferenceObjectives[0].name=food-review")
    assert {"InferencePool r", "InferenceObjective food-review", "ConfigMap r-epp-envoy"} <= objects.names()
    assert objects.pod["metadata"]["labels"] == {
        "inferencepool": "r-epp",
        "inference.networking.k8s.io/igw-mode": "standalone",
    }
    assert faults(objects) == []


def test_without_a_pool() -> None:
    objects = without_pool()
    assert "InferencePool r" not in objects.names()
    assert objects.one("Service")["spec"]["selector"] == {"epp": "r-epp"}
    assert "inferencepools" not in [
        kind for rule in objects.one("Role")["rules"] for kind in rule["resources"]
    ]
    assert faults(objects) == []


def test_without_a_pool_the_lease_is_called_after_the_deployment() -> None:
    role = without_pool(replicas=2).one("Role", "r-epp-leader-election")
    assert role["rules"][0]["resourceNames"] == ["epp-n-r-epp.gateway-api-inference-extension.sigs.k8s.io"]


def test_on_gke_the_metrics_are_collected() -> None:
    objects = template(
        "standalone", GUIDE, "provider.name=gke", "inferenceExtension.monitoring.prometheus.enabled=true"
    )
    assert {"PodMonitoring r", "Secret r-metrics-reader-secret"} <= objects.names()
    assert faults(objects) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"createInferencePool": False}, "endpointSelector is required when no InferencePool is created"),
        ({"createInferencePool": False, "endpointSelector": "vllm"}, "/endpointsServer/endpointSelector"),
        ({}, ".Values.inferencePool.modelServers.matchLabels is required"),
    ],
)  # fmt: skip
def test_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        template("standalone", values={"inferenceExtension": {"endpointsServer": values}})
    assert words in caught.value.stderr


# --- Envoy ---


def envoy(objects: Objects) -> dict[str, Any]:
    (container,) = objects.pod["spec"]["initContainers"]
    found: dict[str, Any] = container
    return found


def test_envoys_configuration_is_what_epp_prints() -> None:
    """--cluster original_dst --host 0.0.0.0 --port 8081 --admin-port 19000 --picker-health-check."""
    settings = GatewaySettings(
        cluster="original_dst", host="0.0.0.0", port=8081, admin_port=19000, picker_health_check=True
    )
    text = without_pool().one("ConfigMap", "r-epp-envoy")["data"]["envoy.yaml"]
    assert yaml.safe_load(text) == envoy_bootstrap(settings)


def test_envoy_takes_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_text(without_pool().one("ConfigMap", "r-epp-envoy")["data"]["envoy.yaml"])
    command = [find_envoy(), "--mode", "validate", "--config-path", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_envoy_outlives_the_picker() -> None:
    """Kubernetes stops a restartable init container after the others, and so after the last stream."""
    objects = without_pool()
    assert envoy(objects)["restartPolicy"] == "Always"
    assert envoy(objects)["securityContext"] == objects.container["securityContext"]


def test_clients_reach_envoy() -> None:
    objects = without_pool()
    (port,) = (each for each in objects.one("Service")["spec"]["ports"] if each["name"] == "http")
    assert (port["port"], port["targetPort"]) == (8081, 8081)
    assert [each["containerPort"] for each in envoy(objects)["ports"]] == [8081]


def test_a_configuration_of_ones_own() -> None:
    objects = without_pool(sidecar={"configMap": {"name": "mine", "data": {"envoy.yaml": "a: b"}}})
    assert objects.one("ConfigMap", "mine")["data"] == {"envoy.yaml": "a: b"}
    assert "ConfigMap r-epp-envoy" not in objects.names()
    (volume,) = (each for each in objects.pod["spec"]["volumes"] if each["name"] == "envoy")
    assert volume["configMap"]["name"] == "mine"


def test_another_configuration_starts_new_pods() -> None:
    def stamp(text: str) -> str:
        objects = without_pool(sidecar={"configMap": {"data": {"envoy.yaml": text}}})
        return str(objects.pod["metadata"]["annotations"]["checksum/sidecar"])

    assert stamp("a: b") != stamp("a: c")


def test_envoy_can_be_left_out() -> None:
    objects = without_pool(sidecar={"enabled": False})
    assert "initContainers" not in objects.pod["spec"]
    assert "--health-checking" not in objects.container["args"]
    assert "ConfigMap r-epp-envoy" not in objects.names()


def test_what_both_charts_have_has_the_same_defaults() -> None:
    here, there = (
        yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
        for chart in ("standalone", "inferencepool")
    )
    ours = {"sidecar", "endpointsServer", "extraServicePorts"}
    assert {k: v for k, v in here["inferenceExtension"].items() if k not in ours} == {
        k: v for k, v in there["inferenceExtension"].items() if k not in ours
    }
    assert here["inferencePool"] == there["inferencePool"]
