"""The port of a simulated server: it can be cut off as if the process had been killed, and opened again."""

from __future__ import annotations

import asyncio

from aiohttp import web

from epp.types import format_address

# Real seconds that `close` waits for handlers to notice that their connections were cut: a round of the loop.
_CLOSE_TIMEOUT = 0.05


class Listener:
    """Serves `app` on `host:port`; port 0 takes a free one, and keeps it."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.busy: set[asyncio.Transport] = set()  # connections with an answer that is not complete
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`host:port`."""
        return format_address(self.host, self.port)

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted."""
        return self._server is not None

    async def start(self, app: web.Application) -> None:
        """Prepares to serve `app`, and opens."""
        # A client that goes away cancels its handler, which cancels the request in the engine.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_CLOSE_TIMEOUT
        )
        await self._runner.setup()
        await self.open()

    async def open(self) -> None:
        """Accepts connections. OSError if the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocols, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Accepts no more, and ends every connection; only answers that are complete still go out."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for handler in self._protocols.connections:
            if handler.transport in self.busy:
                handler.transport.abort()
            elif handler.transport is not None:
                handler.transport.close()

    async def close(self) -> None:
        """Ends for good."""
        self.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def _protocols(self) -> web.Server:
        assert self._runner is not None
        assert self._runner.server is not None
        return self._runner.server
