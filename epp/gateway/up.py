"""`epp up`: a whole gateway on this machine, until Ctrl-C.

    model servers (simulated, or given) ▸ picker ▸ Envoy, each started once the one before is ready

Envoy's endpoints follow the pool file that the picker reads, through the same source.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from epp.config.flags import parse_flags
from epp.gateway.demo import ask_models, run_demo
from epp.gateway.eds import render_eds, write_eds
from epp.gateway.files import write_files
from epp.gateway.parts import parts_in_order
from epp.gateway.ports import check_ports
from epp.gateway.processes import StartError, Supervisor
from epp.gateway.screen import Screen
from epp.gateway.table import render_endpoints
from epp.gateway.up_settings import HOST, UpSettings
from epp.gateway.welcome import render_welcome
from epp.sources.file import FileSource
from epp.types import Snapshot

# Seconds between two drawings of the table: as often as one can read it.
TABLE_INTERVAL = 0.5

# How long a part may take to say how it is.
_QUESTION = aiohttp.ClientTimeout(total=2)

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# What shells say of a program that was interrupted.
_INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Runs until a signal, or until the demonstration is over; the exit code.

    1 if a part does not start or the demonstration does not go as picked. HelpRequested and ConfigError as
    `parse_flags` raises them; ConfigError also for a pool file with faults.
    """
    settings = parse_flags(UpSettings, argv, program="epp up")
    # The picker follows the same pool file, and what it logs of it is shown.
    logging.getLogger("epp").addHandler(logging.NullHandler())
    screen = Screen(sys.stdout, live=sys.stdout.isatty() and not settings.demo)
    try:
        went_well = asyncio.run(until_signal(_up(settings, screen)))
    except StartError as error:
        for line in str(error).splitlines():
            print(f"epp up: {line}", file=sys.stderr)
        return 1
    if went_well is None:  # Ctrl-C: the way to end a gateway, and no way to end a demonstration
        return _INTERRUPTED if settings.demo else 0
    return 0 if went_well else 1


async def until_signal(work: Coroutine[Any, Any, bool]) -> bool | None:
    """The result of `work`; None where a signal to stop came first, and `work` was cancelled for it."""
    loop = asyncio.get_running_loop()
    working = asyncio.create_task(work, name="work")

    def stop() -> None:
        for number in _STOP_SIGNALS:
            # A second one changes nothing: what is being taken down has its own limits of time.
            loop.add_signal_handler(number, lambda: None)
        working.cancel()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return await working
    except asyncio.CancelledError:
        return None


async def _up(settings: UpSettings, screen: Screen) -> bool:
    """Starts everything, and then demonstrates or serves."""
    check_ports(HOST, settings.ports)
    with TemporaryDirectory(prefix="epp-up-") as directory:
        files = write_files(Path(directory), settings)
        snapshots = FileSource(files.pool).snapshots()
        snapshot = await anext(snapshots)
        write_eds(files.eds, render_eds(snapshot.endpoints))
        async with aiohttp.ClientSession(timeout=_QUESTION) as http, Supervisor(screen.say) as supervisor:
            for part in parts_in_order(settings, files, http):
                screen.say(f"starting {part.name}")
                await supervisor.start(part)
            gateway, admin = f"http://{HOST}:{settings.port}", f"http://{HOST}:{settings.metrics_port}"
            if settings.demo:
                return await run_demo(http, gateway, admin, screen.say)
            models = await ask_models(http, gateway)
            for line in render_welcome(settings, snapshot.endpoints, models):
                screen.say(line)
            async with asyncio.TaskGroup() as group:
                group.create_task(_follow(snapshots, files.eds), name="endpoints for Envoy")
                if screen.live:
                    group.create_task(_watch(http, admin, screen), name="table")
            return True


async def _follow(snapshots: AsyncIterator[Snapshot], eds: Path) -> None:
    async for snapshot in snapshots:
        write_eds(eds, render_eds(snapshot.endpoints))


async def _watch(http: aiohttp.ClientSession, admin: str, screen: Screen) -> None:
    while True:
        screen.show(await _table(http, admin))
        await asyncio.sleep(TABLE_INTERVAL)


async def _table(http: aiohttp.ClientSession, admin: str) -> list[str]:
    try:
        async with http.get(f"{admin}/debug/endpoints") as answer:
            return render_endpoints(await answer.json())
    except (TimeoutError, aiohttp.ClientError):
        return ["the picker does not answer"]
