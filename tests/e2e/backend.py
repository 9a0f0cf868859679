"""A model server inside the test: it remembers what reached it and answers what the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tests.e2e.process import free_ports

# What the picker lets through.
_MAX_BODY = 64 << 20

# Enough of a vLLM metrics page for the picker to believe that the server is there, and idle.
_METRICS = "vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived: header names in lower case, each header as often as it came."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for each, value in self.headers if each == name]


Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


async def echo(request: web.Request, body: bytes) -> web.StreamResponse:
    """Answers with the request's body."""
    return web.Response(body=body, content_type="application/json")


class Backend:
    """Listens on 127.0.0.1:`port`. `seen` has the requests but those of the picker's own."""

    def __init__(self) -> None:
        self.port = free_ports()
        self.address = f"127.0.0.1:{self.port}"
        self.answer: Answer = echo
        self.seen: list[Seen] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Backend]:
        """Serves inside."""
        app = web.Application(client_max_size=_MAX_BODY + 1)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/models", self._models)
        app.router.add_route("*", "/{path:.*}", self._any)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            yield self
        finally:
            await runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=_METRICS)

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _any(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = [(name.decode().lower(), value.decode("latin-1")) for name, value in request.raw_headers]
        self.seen.append(Seen(request.method, request.path_qs, headers, body))
        return await self.answer(request, body)


@asynccontextmanager
async def backends(count: int) -> AsyncIterator[list[Backend]]:
    """Several that serve inside."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Backend().serving()) for _ in range(count)]
