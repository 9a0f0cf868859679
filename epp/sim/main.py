"""`epp sim`: simulated vLLM servers until a signal ends them."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence

import uvloop

from epp.config.flags import parse_flags
from epp.sim.cluster import Cluster, PortError
from epp.sim.settings import SimSettings

_PROGRAM = "epp sim"


def main(argv: Sequence[str]) -> int:
    """Runs `epp sim`; the exit code, 1 if a port cannot be had. ConfigError for wrong flags."""
    settings = parse_flags(SimSettings, argv, program=_PROGRAM)
    try:
        uvloop.run(_serve(settings))
    except PortError as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: SimSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Cluster(settings) as cluster:
        print(f"sim: {_summary(cluster)}", flush=True)
        await stop.wait()


def _summary(cluster: Cluster) -> str:
    first, last = cluster.servers[0], cluster.servers[-1]
    if first is last:
        return f"1 server on {first.address}"
    if last.port - first.port == len(cluster.servers) - 1:
        return f"{len(cluster.servers)} servers on {first.address}-{last.port}"
    return f"{len(cluster.servers)} servers on {', '.join(server.address for server in cluster.servers)}"
