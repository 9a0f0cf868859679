"""The picker as the charts start it, against an API server that remembers: it calls all that its roles allow,
and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from epp.kubernetes.objects import POOL_VERSIONS, collection_path
from tests.charts.objects import GUIDE, Json, Objects, template
from tests.e2e.process import Process, eventually, free_ports
from tests.kubernetes_api import ACCESS_REVIEWS, OLD_POOLS, POOLS, TOKEN_REVIEWS, KubernetesApi, pod, pool

LABELS = {"app": "vllm-llama3-8b-instruct"}
SELECTED = {"createInferencePool": False, "endpointSelector": "app=vllm-llama3-8b-instruct"}
VERBS = {"POST": "create", "PUT": "update"}

# Verb, group, resource, and the name of the one object where a role names one.
Call = tuple[str, str, str, str]


def given(objects: Objects) -> set[Call]:
    """What the picker's roles allow."""
    rules = [rule for o in objects if o["kind"] in ("Role", "ClusterRole") for rule in o["rules"]]
    return {
        (verb, group, resource, name)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }


def made(api: KubernetesApi) -> set[Call]:
    """What the picker called."""
    return set(_calls(api))


def _calls(api: KubernetesApi) -> Iterator[Call]:
    for method, path, query in api.requests:
        _, root, *parts = path.split("/")  # /api/v1/... or /apis/GROUP/VERSION/...
        group, parts = ("", parts[1:]) if root == "api" else (parts[0], parts[2:])
        parts = parts[2:] if parts[0] == "namespaces" else parts
        resource, name = (*parts, "")[:2]
        read = "get" if name else "watch" if "watch" in query else "list"
        yield VERBS.get(method, read), group, resource, name


def paths(calls: set[Call]) -> set[str]:
    """The collections that are called, so that the server has them."""
    versions = {"pods": "v1", "leases": "v1"}
    return {
        collection_path(
            group,
            POOL_VERSIONS[group] if resource == "inferencepools" else versions.get(resource, "v1alpha2"),
            resource,
            "default",
        )
        for _, group, resource, _ in calls
        if not resource.endswith("reviews")
    }


def started(objects: Objects, api: KubernetesApi, folder: Path, port: int) -> list[str]:
    """The picker's command line as the chart has it, moved to this machine."""
    for name, text in objects.one("ConfigMap", "r-epp")["data"].items():
        (folder / name).write_text(text)
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "picker"}}],
                "clusters": [{"name": "here", "cluster": {"server": api.url}}],
                "users": [{"name": "picker", "user": {"token": "t"}}],
            }
        )
    )
    words = [word.replace("$(NAMESPACE)", "default") for word in objects.container["args"]]
    return [
        *(sys.executable, "-m", "epp", "serve"),
        *(word.replace("=/config/", f"={folder}/") for word in words),
        f"--kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--grpc-port={port}",
        f"--grpc-health-port={port + 1}",
        f"--metrics-port={port + 2}",
    ]


@pytest.mark.parametrize(
    ("chart", "values"),
    [
        pytest.param("inferencepool", {}, id="pool"),
        pytest.param("inferencepool", {"inferenceExtension": {"replicas": 2}}, id="several replicas"),
        pytest.param(
            "inferencepool",
            {"inferencePool": {"apiVersion": "inference.networking.x-k8s.io/v1alpha2"}},
            id="v1alpha2",
        ),
        pytest.param("standalone", {"inferenceExtension": {"endpointsServer": SELECTED}}, id="no pool"),
    ],
)
async def test_no_wider_and_no_narrower(
    chart: str, values: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAMESPACE", "default")
    monkeypatch.setenv("POD_NAME", "r-epp-6c7d96b9f-x2x4z")
    objects = template(chart, GUIDE, values=values, namespace="default")
    rights = given(objects)
    port = free_ports(3)

    async with KubernetesApi() as api:
        api.installed = paths(rights)
        api.put(POOLS, pool("r", **LABELS))
        api.put(OLD_POOLS, {"metadata": {"name": "r"}, "spec": old_spec()})
        api.put("/api/v1/namespaces/default/pods", pod("a", "127.0.0.1", labels=LABELS))
        api.reviews[TOKEN_REVIEWS] = lambda _: {"authenticated": True, "user": {"username": "prometheus"}}
        api.reviews[ACCESS_REVIEWS] = lambda _: {"allowed": True}

        async with Process(started(objects, api, tmp_path, port), tmp_path / "log") as picker:
            url = f"http://127.0.0.1:{port + 2}"
            async with httpx.AsyncClient() as client:
                await eventually(lambda: ready(client, url), picker.output)
                answer = await client.get(f"{url}/metrics", headers={"Authorization": "Bearer x"})
            assert answer.status_code == 200, answer.text
            watched = {path for path in api.installed if not path.endswith("leases")}
            await eventually(lambda: all(api.watching(path) for path in watched), picker.output)
            await picker.terminate()
        assert made(api) == rights


async def ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def old_spec() -> Json:
    return {"selector": LABELS, "targetPortNumber": 8000, "extensionRef": {"name": "r-epp"}}
