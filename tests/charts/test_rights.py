"""The picker as the charts start it, against an API server that remembers: it calls all that its roles allow,
and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from epp.kubernetes.objects import EXPERIMENTAL_GROUP, POOL_VERSIONS, STABLE_GROUP, collection_path
from tests.charts import reference
from tests.charts.at_work import moved, ready
from tests.charts.objects import GUIDE, ROOT, Json, Objects, template
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

        config = objects.one("ConfigMap", "r-epp")["data"]["default-plugins.yaml"]
        argv = moved(objects.container["args"], config, api, tmp_path, port)
        async with Process(argv, tmp_path / "log") as picker:
            url = f"http://127.0.0.1:{port + 2}"
            async with httpx.AsyncClient() as client:
                await eventually(lambda: ready(client, url), picker.output)
                answer = await client.get(f"{url}/metrics", headers={"Authorization": "Bearer x"})
            assert answer.status_code == 200, answer.text
            watched = {path for path in api.installed if not path.endswith("leases")}
            await eventually(lambda: all(api.watching(path) for path in watched), picker.output)
            await picker.terminate()
        assert made(api) == rights


# What the reference's charts allow: no kinds that came later, or that are llm-d's.
REFERENCE_RIGHTS = {
    "v1.0.1": {("", "pods"), (STABLE_GROUP, "inferencepools"), (EXPERIMENTAL_GROUP, "inferenceobjectives")},
    "v1.5": {
        ("", "pods"),
        (STABLE_GROUP, "inferencepools"),
        (EXPERIMENTAL_GROUP, "inferenceobjectives"),
        (EXPERIMENTAL_GROUP, "inferencemodelrewrites"),
    },
}


@pytest.mark.parametrize("version", REFERENCE_RIGHTS)
async def test_the_references_chart_with_only_its_image_replaced(version: str, tmp_path: Path) -> None:
    """Its command line, its configuration and its rights; what it may not read, the picker goes without."""
    config = (ROOT / f"tests/unit/config/examples/chart-{version}.yaml").read_text()
    everything = paths(given(template("inferencepool", GUIDE, namespace="default")))
    allowed = paths({("list", group, resource, "") for group, resource in REFERENCE_RIGHTS[version]})
    port = free_ports(3)

    async with KubernetesApi() as api:
        api.installed = everything
        api.failing = dict.fromkeys(everything - allowed, (403, "forbidden"))
        api.put(POOLS, pool("r", **LABELS))
        api.put("/api/v1/namespaces/default/pods", pod("a", "127.0.0.1", labels=LABELS))
        words = reference.argv(version, "vllm", namespace="default")
        async with Process(moved(words, config, api, tmp_path, port), tmp_path / "log") as picker:
            async with httpx.AsyncClient() as client:
                await eventually(lambda: ready(client, f"http://127.0.0.1:{port + 2}"), picker.output)
            await eventually(lambda: all(api.watching(path) for path in allowed), picker.output)


def old_spec() -> Json:
    return {"selector": LABELS, "targetPortNumber": 8000, "extensionRef": {"name": "r-epp"}}
