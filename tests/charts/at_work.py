"""The charts' command lines, moved from a pod to this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import yaml

from tests.kubernetes_api import KubernetesApi


def moved(argv: list[str], config: str, api: KubernetesApi, folder: Path, port: int) -> list[str]:
    """A picker's command line in a pod, moved to this machine; `config`: text of default-plugins.yaml."""
    (folder / "default-plugins.yaml").write_text(config)
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
    return [
        *(sys.executable, "-m", "epp", "serve"),
        *(word.replace("$(NAMESPACE)", "default").replace("/config/", f"{folder}/") for word in argv),
        f"--kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--grpc-port={port}",
        f"--grpc-health-port={port + 1}",
        f"--metrics-port={port + 2}",
    ]


async def ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False
