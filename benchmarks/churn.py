"""A thousand pods that come and go: how soon the scheduler sees it, and what it costs.

    python -m benchmarks.churn --pods 1000 --rate 50 --seconds 60

An API server (that of the tests) in a process of its own replaces pods at random, `rate` a second; a pod's
name tells when it was made. This process follows it as the picker does, up to the datastore's candidates.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import multiprocessing
import random
import time
from contextlib import aclosing
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles

import uvloop

from epp.datastore.store import Datastore
from epp.kubernetes.access import Access
from epp.kubernetes.credentials import Fixed
from epp.kubernetes.objects import STABLE_GROUP
from epp.sources.kubernetes import KubernetesSource, Target
from tests.kubernetes_api import PODS, POOLS, KubernetesApi, pod, pool

# Bytes of a pod that the picker does not read: what a vLLM pod has in spec, status and managed fields.
_BALLAST = 6_000


def serve(pipe: Connection, pods: int, rate: float) -> None:
    """The API server's process: tells its port and churns until it is ended."""
    asyncio.run(_serve(pipe, pods, rate))


async def _serve(pipe: Connection, pods: int, rate: float) -> None:
    rng = random.Random(1)
    async with KubernetesApi() as api:
        api.put(POOLS, pool())
        names = [_add(api, number) for number in range(pods)]
        pipe.send(api.port)
        number = pods
        started = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            while number - pods < (time.monotonic() - started) * rate:
                victim = rng.randrange(pods)
                api.delete(PODS, names[victim])
                names[victim] = _add(api, number)
                number += 1
                if number % 1000 == 0:
                    api.forget()


def _add(api: KubernetesApi, number: int) -> str:
    name = f"vllm-{number}-{time.monotonic_ns()}"
    value = pod(name, f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    value["metadata"]["annotations"] = {"ballast": "x" * _BALLAST}
    api.put(PODS, value)
    return name


async def follow(port: int, seconds: float) -> None:
    """Follows the server and reports."""
    store, latencies, spent = Datastore(), list[float](), list[float]()
    source = KubernetesSource(
        Access(f"http://127.0.0.1:{port}", Fixed()), Target("demo", "default", STABLE_GROUP)
    )
    first, began, cpu = True, 0.0, 0.0
    memory_at, memory = math.inf, 0
    async with aclosing(source.snapshots()) as snapshots:
        async for snapshot in snapshots:
            before = time.perf_counter()
            changes = store.apply(snapshot)
            candidates = store.candidates(None, time.monotonic())
            now = time.monotonic_ns()
            spent.append(time.perf_counter() - before)
            if first:
                print(f"{len(candidates.slots)} endpoints known")
                first = False
                began, cpu = time.monotonic(), time.process_time()
                memory_at = began + seconds / 4
                continue
            latencies += [(now - int(spec.name.rpartition("-")[2])) / 1e6 for spec in changes.added]
            if time.monotonic() >= memory_at:
                gc.collect()
                memory, memory_at = _resident(), math.inf
            if time.monotonic() - began >= seconds:
                break
    lasted, used = time.monotonic() - began, time.process_time() - cpu
    gc.collect()
    cuts = quantiles(latencies, n=100)
    print(f"{len(latencies)} pods replaced in {lasted:.0f} s, {len(spent) / lasted:.1f} snapshots a second")
    print(f"visible after: median {cuts[49]:.0f} ms, 99 % {cuts[98]:.0f} ms, longest {max(latencies):.0f} ms")
    print(f"CPU: {100 * used / lasted:.1f} % of a core, {1e3 * used / len(latencies):.2f} ms a replaced pod")
    print(f"applying a snapshot: median {1e3 * sorted(spent)[len(spent) // 2]:.1f} ms")
    print(f"memory: {memory / 1024:.0f} MB after a quarter, {_resident() / 1024:.0f} MB at the end")


def _resident() -> int:
    """Resident memory of this process in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=50, help="pods replaced in a second")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, arguments.pods, arguments.rate), daemon=True
    )
    server.start()
    try:
        uvloop.run(follow(here.recv(), arguments.seconds))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
