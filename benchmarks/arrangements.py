"""What is compared: Envoy before a trivial backend, alone or asking a picker, each running and warm.

    envoy      Envoy alone, to any endpoint
    minimal    Envoy and benchmarks/minimal_picker.py, which is grpc.aio and no decisions
    grpcio     Envoy and `epp serve --transport grpcio`, which reads, scores, reserves, and scrapes
    h2         the same over our own HTTP/2 transport

They share one backend, of ten endpoints.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import Process, free_ports
from epp.gateway.bootstrap import envoy_bootstrap
from epp.gateway.eds import render_eds, write_eds
from epp.gateway.envoy import envoy_argv, find_envoy
from epp.gateway.settings import GatewaySettings
from epp.types import EndpointSpec

NAMES = ("envoy", "minimal", "grpcio", "h2")
ENDPOINTS = 10
PYTHON = [sys.executable, "-m"]


@dataclass(frozen=True)
class Arrangement:
    """An Envoy at `port` and its picker, if it has one; `metrics_port` is 0 for a picker without metrics."""

    name: str
    port: int
    envoy: Process
    picker: Process | None
    metrics_port: int = 0


@contextmanager
def arrangements(directory: Path, names: Sequence[str]) -> Iterator[list[Arrangement]]:
    """Those of `names`, with their files in `directory`."""
    backend = free_ports(ENDPOINTS)
    endpoints = [EndpointSpec(f"server-{index}", "127.0.0.1", port) for index, port in enumerate(backend)]
    write_eds(directory / "eds.json", render_eds(endpoints))
    pool = {"pool": {"name": "bench"}, "endpoints": [_entry(endpoint) for endpoint in endpoints]}
    (directory / "pool.yaml").write_text(yaml.safe_dump(pool))
    with ExitStack() as stack:

        def start(name: str, argv: list[str], port: int) -> Process:
            return stack.enter_context(Process(name, argv, port, directory / f"{name}.log"))

        start("backend", [*PYTHON, "benchmarks.backend", *map(str, backend)], backend[-1])
        found = []
        for name in names:
            gateway, admin, grpc, health, metrics = free_ports(5)
            picker = None
            if name == "minimal":
                argv = [*PYTHON, "benchmarks.minimal_picker", str(grpc), f"127.0.0.1:{backend[0]}"]
                picker = start(name, argv, grpc)
            elif name != "envoy":
                picker = start(name, serve_argv(directory, name, grpc, health, metrics), grpc)
            config = directory / f"{name}.json"
            config.write_text(json.dumps(bootstrap(directory, gateway, admin, grpc if picker else 0)))
            envoy = start(f"{name}-envoy", envoy_argv(find_envoy(), config), gateway)
            serves = name not in ("envoy", "minimal")
            found.append(Arrangement(name, gateway, envoy, picker, metrics if serves else 0))
        yield found


def serve_argv(directory: Path, transport: str, grpc: int, health: int, metrics: int) -> list[str]:
    """`epp serve` with the pool in `directory`."""
    flags = {
        "transport": transport,
        "pool-file": directory / "pool.yaml",
        "secure-serving": "false",
        "bind-address": "127.0.0.1",
        "grpc-port": grpc,
        "grpc-health-port": health,
        "metrics-port": metrics,
    }
    return [*PYTHON, "epp", "serve", *(f"--{name}={value}" for name, value in flags.items())]


def _entry(endpoint: EndpointSpec) -> dict[str, Any]:
    return {"name": endpoint.name, "address": endpoint.host, "port": endpoint.port}


def bootstrap(directory: Path, port: int, admin_port: int, picker_port: int) -> dict[str, Any]:
    """Our bootstrap, plaintext to the picker; with `picker_port` 0 the same without a picker."""
    settings = GatewaySettings(
        port=port,
        admin_port=admin_port,
        eds_file=str(directory / "eds.json"),
        picker=f"127.0.0.1:{picker_port or 1}",
        picker_tls=False,
    )
    config = envoy_bootstrap(settings)
    if not picker_port:
        listener = config["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"] = [
            each for each in manager["http_filters"] if each["name"] != "envoy.filters.http.ext_proc"
        ]
    return config
