"""What scraping costs: CPU time of the poller at 10 and 100 endpoints, and of the parts of one scrape.

A child process serves a page of vLLM's size and shape on N ports; this process runs the real poller against
them on uvloop and counts its own CPU time. Prints a table, and writes benchmarks/results/scrape.json.

    python benchmarks/scrape.py [--seconds 5] [--endpoints 10 100]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import uvloop

from epp.scrape.engines import ENGINES, read_load
from epp.scrape.exposition import Memory
from epp.scrape.http_client import HttpConnection, connector
from epp.scrape.load_header import parse_load_header
from epp.scrape.poller import Poller, ScrapeSettings
from epp.types import EndpointSpec, LoadSample

RESULTS = Path(__file__).parent / "results" / "scrape.json"
LABELS = 'engine="0",model_name="tiny"'
WARM_UP = 1.0  # seconds: every endpoint connected and polled


def vllm_page() -> bytes:
    """A page with vLLM's names in vLLM's places: gauges in front, histograms, then adapters and cache."""
    lines = []
    for name, value in (
        ("num_requests_running", 4),
        ("num_requests_waiting", 48),
        ("kv_cache_usage_perc", 0.25),
    ):
        lines += [f"# HELP vllm:{name} One of the gauges.", f"# TYPE vllm:{name} gauge"]
        lines.append(f"vllm:{name}{{{LABELS}}} {value:.1f}")
    for histogram in range(17):
        name = f"vllm:histogram_{histogram:02}_seconds"
        lines += [
            f"# HELP {name} How long some part of a request took, in seconds.",
            f"# TYPE {name} histogram",
        ]
        lines += [f'{name}_bucket{{{LABELS},le="{bound / 10}"}} {bound * 7}.0' for bound in range(40)]
        lines += [f"{name}_sum{{{LABELS}}} 1234.5", f"{name}_count{{{LABELS}}} 280.0"]
    for number, names in enumerate(("", "a", "b", "a,b", "b,a", "c")):
        adapters = f'running_lora_adapters="{names}",waiting_lora_adapters="{names}"'
        lines.append(f'vllm:lora_requests_info{{max_lora="2",{adapters}}} 1.79534658{number}e+09')
    options = ",".join(f'option_{number:02}_of_the_cache="None"' for number in range(35))
    lines.append(f'vllm:cache_config_info{{block_size="128",{options},num_gpu_blocks="4096"}} 1.0')
    return "\n".join(lines).encode() + b"\n"


class PageServer(asyncio.Protocol):
    """Answers everything with the page; keeps the connection."""

    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answer)


async def serve(ports: int) -> None:
    page = vllm_page()
    PageServer.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (
        len(page),
        page,
    )
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(PageServer, "127.0.0.1", 0) for _ in range(ports)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the parent goes


@contextmanager
def page_servers(ports: int) -> Iterator[list[int]]:
    command = [sys.executable, __file__, "--serve", str(ports)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield json.loads(child.stdout.readline())
        finally:
            child.stdin.close()


class Counter:
    """An observer that counts."""

    def __init__(self) -> None:
        self.pages = 0
        self.failures: dict[str, int] = {}

    def scraped(self, name: str, sample: LoadSample, expected_interval: float, now: float) -> None:
        assert sample.waiting == 48
        self.pages += 1

    def scrape_failed(self, name: str, kind: str, now: float) -> None:
        self.failures[kind] = self.failures.get(kind, 0) + 1

    def scrape_took(self, name: str, seconds: float) -> None: ...

    def models_listed(
        self, name: str, base: frozenset[str], adapters: frozenset[str], now: float
    ) -> None: ...


async def poll(ports: list[int], mode: str, seconds: float) -> dict[str, Any]:
    """Polls for `seconds`. `mode`: "busy" requests but no load headers, "answering" both, "idle" neither."""
    loop = asyncio.get_running_loop()
    counter = Counter()
    poller = Poller(ScrapeSettings(), counter, connector("http", True))
    poller.set_endpoints([EndpointSpec(f"e{port}", "127.0.0.1", port) for port in ports])
    running = asyncio.create_task(poller.run(), name="poller")
    await traffic(poller, ports, mode, loop.time() + WARM_UP)
    pages, cpu, began = counter.pages, time.process_time(), time.perf_counter()
    await traffic(poller, ports, mode, loop.time() + seconds)
    pages, cpu, took = counter.pages - pages, time.process_time() - cpu, time.perf_counter() - began
    running.cancel()
    await asyncio.wait([running])
    return {
        "endpoints": len(ports),
        "mode": mode,
        "pages_per_second": pages / took,
        "cpu_share": cpu / took,
        "us_per_page": cpu / max(1, pages) * 1e6,
        "failures": counter.failures,
    }


async def traffic(poller: Poller, ports: list[int], mode: str, until: float) -> None:
    """What the picker would tell the poller; 25 answers a second from each endpoint."""
    loop = asyncio.get_running_loop()
    while (now := loop.time()) < until:
        if mode != "idle":
            poller.requested(now)
        if mode == "answering":
            for port in ports:
                poller.answered(f"e{port}", now)
        await asyncio.sleep(0.04)


async def get_cost(port: int, times: int) -> float:
    """CPU microseconds of one GET of the page, nothing read from it."""
    connection = HttpConnection("127.0.0.1", port)
    await connection.get("/metrics", 1.0)
    began = time.process_time()
    for _ in range(times):
        await connection.get("/metrics", 1.0)
    cost = (time.process_time() - began) / times * 1e6
    connection.close()
    return cost


def cost(call: Callable[[], object], times: int) -> float:
    """CPU microseconds of one call: the best of five rounds."""
    rounds = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(times):
            call()
        rounds.append((time.process_time() - began) / times * 1e6)
    return min(rounds)


def measure(counts: list[int], seconds: float) -> dict[str, Any]:
    page = vllm_page()
    header = "TEXT named_metrics.num_requests_waiting=3.0, named_metrics.kv_cache_usage_perc=0.25"
    memory: Memory = {}
    parts: dict[str, float] = {
        "read_load, first page": cost(lambda: read_load(page, ENGINES["vllm"]), 2000),
        "read_load, later page": cost(lambda: read_load(page, ENGINES["vllm"], memory), 2000),
        "parse_load_header": cost(lambda: parse_load_header(header), 20_000),
    }
    rows = []
    with page_servers(max(counts)) as ports:
        parts["GET of a page"] = uvloop.run(get_cost(ports[0], 2000))
        for count in counts:
            rows += [uvloop.run(poll(ports[:count], mode, seconds)) for mode in ("busy", "answering", "idle")]
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()}
    return {"page_bytes": len(page), "machine": machine, "parts_us": parts, "polling": rows}


def table(result: dict[str, Any]) -> str:
    lines = [f"page of {result['page_bytes']} bytes; CPU of one:"]
    lines += [f"  {name:<22}{us:8.1f} us" for name, us in result["parts_us"].items()]
    lines.append(f"{'endpoints':>10} {'mode':<10} {'pages/s':>9} {'cores':>7} {'us/page':>8}  failures")
    for row in result["polling"]:
        rate, share, each = row["pages_per_second"], row["cpu_share"], row["us_per_page"]
        numbers = f"{rate:>9.0f} {share:>7.3f} {each:>8.0f}"
        lines.append(f"{row['endpoints']:>10} {row['mode']:<10} {numbers}  {row['failures'] or ''}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--endpoints", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
        return
    result = measure(arguments.endpoints, arguments.seconds)
    print(table(result))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {os.path.relpath(RESULTS)}")


if __name__ == "__main__":
    main()
