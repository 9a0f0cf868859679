"""The standalone chart's Envoy and picker beside each other, with a model server behind them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from epp.gateway.envoy import find_envoy
from tests.charts.at_work import moved, ready
from tests.charts.objects import Objects, template
from tests.e2e.backend import Backend
from tests.e2e.process import Process, eventually, free_ports
from tests.kubernetes_api import PODS, KubernetesApi, pod


def chart(backend: Backend) -> Objects:
    server = {
        "createInferencePool": False,
        "endpointSelector": "app=vllm",
        "targetPorts": backend.port,
    }
    values = {"inferenceExtension": {"endpointsServer": server}}
    return template("standalone", values=values, namespace="default")


def envoy(objects: Objects, folder: Path, ports: dict[str, int]) -> list[str]:
    """Envoy's command line, with other ports."""
    text = objects.one("ConfigMap", "r-epp-envoy")["data"]["envoy.yaml"]
    for old, new in ports.items():
        assert f"port_value: {old}\n" in text
        text = text.replace(f"port_value: {old}\n", f"port_value: {new}\n")
    (folder / "envoy.yaml").write_text(text)
    (container,) = objects.pod["spec"]["initContainers"]
    return [find_envoy(), *(word.replace("/etc/envoy/", f"{folder}/") for word in container["args"])]


async def test_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMESPACE", "default")
    monkeypatch.setenv("POD_NAME", "r-epp-6c7d96b9f-x2x4z")
    port = free_ports(5)
    ports = {"9002": port, "8081": port + 3, "19000": port + 4}

    async with (
        Backend().serving() as backend,
        KubernetesApi() as api,
        httpx.AsyncClient() as client,
    ):
        api.put(PODS, pod("a", "127.0.0.1"))
        objects = chart(backend)
        config = objects.one("ConfigMap", "r-epp")["data"]["default-plugins.yaml"]
        argv = moved(objects.container["args"], config, api, tmp_path, port)
        async with (
            Process(envoy(objects, tmp_path, ports), tmp_path / "envoy.log") as proxy,
            Process(argv, tmp_path / "picker.log") as picker,
        ):
            await eventually(lambda: ready(client, f"http://127.0.0.1:{port + 2}"), picker.output)
            url = f"http://127.0.0.1:{ports['8081']}/v1/completions"
            asked = {"model": "m", "prompt": "Hello"}

            async def answered() -> bool:
                answer = await client.post(
                    url, json=asked, headers={"x-gateway-destination-endpoint": "1.2.3.4:5"}
                )
                return answer.status_code == 200 and answer.json() == asked

            await eventually(answered, proxy.output)
        # Envoy went where the picker said, not where the client did.
        assert backend.seen[-1].values("x-gateway-destination-endpoint") == [backend.address]
