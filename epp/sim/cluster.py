"""The simulated servers of one process, started and ended together."""

from __future__ import annotations

import asyncio
import os
import random
from types import TracebackType

from epp.sim.instance import Instance
from epp.sim.listener import Listener
from epp.sim.server import SimServer
from epp.sim.settings import SimSettings


class PortError(Exception):
    """A server cannot listen where it was told to."""


class Cluster:
    """`async with Cluster(settings) as cluster:` has all servers up inside, and none after."""

    def __init__(self, settings: SimSettings) -> None:
        self._settings = settings
        self.servers: list[SimServer] = []
        for index in range(settings.servers):
            server = SimServer(
                listener=Listener(settings.host, settings.port and settings.port + index),
                make_instance=self._make_instance,
                faults=settings.faults,
                rng=random.Random(settings.seed + index),
                peers=self.servers,
            )
            self.servers.append(server)

    def __repr__(self) -> str:
        return f"Cluster({', '.join(server.address for server in self.servers)})"

    async def __aenter__(self) -> Cluster:
        try:
            for server in self.servers:
                await server.start()
        except OSError as error:
            await self.close()
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise PortError(f"cannot listen on {server.address}: {reason}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends every server."""
        await asyncio.gather(*(server.close() for server in self.servers))

    def _make_instance(self) -> Instance:
        settings = self._settings
        return Instance(settings.engine, settings.model, settings.adapters, settings.time_scale)
