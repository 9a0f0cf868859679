"""The manifests under deploy: what kustomize makes of them, and that they fit together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.manifests import manifests
from tests.charts.objects import ROOT, Json, Objects, faults, kustomize, read

DEPLOY = ROOT / "deploy"
OVERLAYS = [
    "base", "vllm", "istio", "gke/internal", "gke/external", "gke/https", "gke/model-armor", "gke/v1alpha2",
]  # fmt: skip
WITH_GATEWAY = OVERLAYS[2:]
V1, V1ALPHA2 = "inference.networking.k8s.io", "inference.networking.x-k8s.io"


def test_what_is_made_from_the_chart_is_fresh() -> None:
    """`python -m tests.charts.manifests` makes it so."""
    for path, text in manifests().items():
        assert path.read_text() == text, path


def test_every_folder_is_looked_at() -> None:
    found = {path.parent.relative_to(DEPLOY).as_posix() for path in DEPLOY.rglob("kustomization.yaml")}
    assert found == set(OVERLAYS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_and_the_crds_take_it(overlay: str) -> None:
    assert faults(kustomize(DEPLOY / overlay)) == []


@pytest.mark.parametrize("overlay", WITH_GATEWAY)
def test_from_the_gateway_to_the_model_server(overlay: str) -> None:
    objects = kustomize(DEPLOY / overlay)
    gateway, route, pool = (objects.one(kind) for kind in ("Gateway", "HTTPRoute", "InferencePool"))
    group = V1ALPHA2 if overlay == "gke/v1alpha2" else V1
    of_pool = {"group": group, "kind": "InferencePool", "name": pool["metadata"]["name"]}
    assert pool["apiVersion"].startswith(group + "/")

    (parent,) = route["spec"]["parentRefs"]
    assert parent["name"] == gateway["metadata"]["name"]
    assert [rule["backendRefs"] for rule in route["spec"]["rules"]] == [[of_pool]]

    server = objects.one("Deployment", "vllm-llama3-8b-instruct")["spec"]["template"]
    selector = pool["spec"]["selector"].get("matchLabels", pool["spec"]["selector"])
    assert selector.items() <= server["metadata"]["labels"].items()
    port = pool["spec"].get("targetPortNumber") or pool["spec"]["targetPorts"][0]["number"]
    assert port == server["spec"]["containers"][0]["ports"][0]["containerPort"]

    picker = pool["spec"].get("endpointPickerRef") or pool["spec"]["extensionRef"]
    service = objects.one("Service", picker["name"])
    pod = objects.one("Deployment", picker["name"])["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()

    # Objectives and policies that name another group would be passed over in silence.
    for o in objects:
        for reference in ("poolRef", "targetRef"):
            assert o.get("spec", {}).get(reference, of_pool) == of_pool

    groups = [
        a.partition("=")[2] for a in pod["spec"]["containers"][0]["args"] if a.startswith("--pool-group=")
    ]
    assert groups[-1] == group  # the last one counts
    readable = [rule["apiGroups"] for rule in objects.one("Role", picker["name"])["rules"]]
    assert [group] in readable


GATEWAYS = {
    "istio": ("istio", ["HTTP"]),
    "gke/internal": ("gke-l7-rilb", ["HTTP"]),
    "gke/external": ("gke-l7-regional-external-managed", ["HTTP"]),
    "gke/https": ("gke-l7-rilb", ["HTTPS"]),
    "gke/model-armor": ("gke-l7-rilb", ["HTTP"]),
    "gke/v1alpha2": ("gke-l7-rilb", ["HTTP"]),
}


@pytest.mark.parametrize("overlay", WITH_GATEWAY)
def test_gateways(overlay: str) -> None:
    spec = kustomize(DEPLOY / overlay).one("Gateway")["spec"]
    assert (spec["gatewayClassName"], [each["protocol"] for each in spec["listeners"]]) == GATEWAYS[overlay]


def test_only_istio_takes_timeouts_in_routes() -> None:
    for overlay in WITH_GATEWAY:
        (rule,) = kustomize(DEPLOY / overlay).one("HTTPRoute")["spec"]["rules"]
        assert ("timeouts" in rule) == (overlay == "istio")


def test_model_armor_stands_on_the_same_gateway() -> None:
    objects = kustomize(DEPLOY / "gke/model-armor")
    spec = objects.one("GCPTrafficExtension")["spec"]
    assert [each["name"] for each in spec["targetRefs"]] == [objects.one("Gateway")["metadata"]["name"]]
    (extension,) = spec["extensionChains"][0]["extensions"]
    settings = yaml.safe_load(extension["metadata"]["model_armor_settings"])
    assert {each["model"] for each in settings} == {*adapters(objects), base_model(objects)}


def test_the_side_car_and_vllm_mean_the_same() -> None:
    objects = kustomize(DEPLOY / "vllm")
    config = lora_config(objects)
    arguments = dict(each.split("=") for each in vllm(objects)["args"] if "=" in each)
    environment = {each["name"]: each.get("value") for each in vllm(objects)["env"]}
    assert adapters(objects) == ["food-review", "cad-fabricator"]
    assert config["defaultBaseModel"] == arguments["--model"]
    assert str(config["port"]) == arguments["--port"]
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "true"

    pod = objects.one("Deployment")["spec"]["template"]["spec"]
    (sidecar,) = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    (mount,) = sidecar["volumeMounts"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == mount["name"])
    assert volume["configMap"]["name"] == objects.one("ConfigMap")["metadata"]["name"]
    assert sidecar["env"][0]["value"].startswith(mount["mountPath"] + "/")


def test_the_secret_is_the_one_that_vllm_reads() -> None:
    secret = read((DEPLOY / "vllm/secret.yaml").read_text())
    assert faults(secret) == []
    (token,) = (each for each in vllm(kustomize(DEPLOY / "vllm"))["env"] if "valueFrom" in each)
    reference = token["valueFrom"]["secretKeyRef"]
    assert reference["name"] == secret[0]["metadata"]["name"]
    assert list(secret[0]["stringData"]) == [reference["key"]]


def test_two_objectives() -> None:
    objectives = [o for o in kustomize(DEPLOY / "base") if o["kind"] == "InferenceObjective"]
    assert {o["metadata"]["name"]: o["spec"]["priority"] for o in objectives} == {
        "food-review": 10,
        "llama3-base-model": 20,
    }


def test_another_namespace_and_image(tmp_path: Path) -> None:
    """An overlay as a user would write it."""
    # kustomize takes relative paths only.
    overlay = {
        "resources": [os.path.relpath(DEPLOY / "gke/internal", tmp_path.resolve())],
        "namespace": "llm",
        "images": [{"name": "epp", "newName": "example.com/epp", "newTag": "v9"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    objects = kustomize(tmp_path)

    assert faults(objects) == []
    assert {o["metadata"].get("namespace", "llm") for o in objects} == {"llm"}
    container = objects.one("Deployment", "vllm-llama3-8b-instruct-epp")["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert container["image"] == "example.com/epp:v9"
    # Kubernetes puts the namespace in.
    assert "--pool-namespace=$(NAMESPACE)" in container["args"]
    for binding in (o for o in objects if o["kind"] in ("RoleBinding", "ClusterRoleBinding")):
        for subject in binding["subjects"]:
            assert subject["namespace"] == ("gmp-system" if subject["name"] == "collector" else "llm")


def vllm(objects: Objects) -> Json:
    (container,) = objects.one("Deployment", "vllm-llama3-8b-instruct")["spec"]["template"]["spec"][
        "containers"
    ]
    found: Json = container
    return found


def lora_config(objects: Objects) -> Json:
    text = objects.one("ConfigMap", "vllm-llama3-8b-adapters")["data"]["configmap.yaml"]
    found: Json = yaml.safe_load(text)["vLLMLoRAConfig"]
    return found


def adapters(objects: Objects) -> list[str]:
    return [each["id"] for each in lora_config(objects)["ensureExist"]["models"]]


def base_model(objects: Objects) -> Any:
    return lora_config(objects)["defaultBaseModel"]
