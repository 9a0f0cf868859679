"""The HTTP side door on --metrics-port: metrics for Prometheus, health for probes, pages for people.

No page shows a prompt, a body or a header's value that a client sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from epp.kubernetes.reviews import Verdict
from epp.metrics import Metrics

# Decisions on the page when it is not said how many.
DEFAULT_LIMIT = 100

# Characters of the metrics page that are made before requests get their turn: well under a millisecond.
_CHARACTERS_A_TURN = 32 * 1024

# Time that pages under way have when the picker stops, seconds; nobody waits for them.
_SHUTDOWN = 1.0

# What anybody may see: probes have no token, and the index tells nothing.
_UNGUARDED = frozenset({"/", "/healthz", "/readyz"})

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_INDEX = """<!doctype html>
<title>endpoint picker</title>
<h1>Endpoint picker</h1>
<ul>
<li><a href="/metrics">/metrics</a> for Prometheus
<li><a href="/healthz">/healthz</a> is it alive?
<li><a href="/readyz">/readyz</a> does it serve?
<li><a href="/debug/endpoints">/debug/endpoints</a> the pool as the picker knows it
<li><a href="/debug/config">/debug/config</a> the configuration in force
<li><a href="/debug/decisions">/debug/decisions</a> the latest decisions; ?limit=, ?request_id=
</ul>
"""


class AdminView(Protocol):
    """What the pages show."""

    def ready(self) -> bool:
        """Whether the picker serves: the pool is known, its endpoints were asked, and no end is near."""

    def endpoints(self) -> list[dict[str, Any]]:
        """Every endpoint of the pool, JSON-ready."""

    def config(self) -> dict[str, Any]:
        """The configuration in force, JSON-ready."""

    def decisions(self, limit: int, request_id: str) -> list[dict[str, Any]]:
        """The latest `limit` decisions, JSON-ready; only those of `request_id` unless it is ""."""


class Guard(Protocol):
    """Who may read the pages."""

    async def check(self, authorization: str, path: str) -> Verdict:
        """Whether the bearer of this Authorization header may get `path`."""


class AdminServer:
    """Serves the pages from `start` to `stop`. `host` None: on all addresses; `port` 0: on any free one.

    `guard` is asked before every page but the index and those for probes; None: anybody may read them.
    """

    def __init__(
        self, view: AdminView, metrics: Metrics, host: str | None, port: int, *, guard: Guard | None = None
    ) -> None:
        self._view = view
        self._metrics = metrics
        self._host = host
        self._port = port
        self._guard = guard
        app = web.Application(middlewares=[self._admit] if guard else [])
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/metrics", self._metrics_page),
                web.get("/healthz", self._alive),
                web.get("/readyz", self._ready),
                web.get("/debug/endpoints", self._endpoints),
                web.get("/debug/config", self._config),
                web.get("/debug/decisions", self._decisions),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN)

    @property
    def port(self) -> int:
        """The port that is served."""
        port: int = self._runner.addresses[0][1]
        return port

    async def start(self) -> None:
        """Begins to serve. Raises OSError if the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise

    async def stop(self) -> None:
        """Closes the port."""
        await self._runner.cleanup()

    # The pages -------------------------------------------------------------------------------------------

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._guard is None or request.path in _UNGUARDED:
            return await handler(request)
        verdict = await self._guard.check(request.headers.get("Authorization", ""), request.path)
        if verdict.status == 200:
            return await handler(request)
        response = web.Response(text=verdict.message + "\n", status=verdict.status)
        if verdict.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=_INDEX, content_type="text/html")

    async def _metrics_page(self, request: web.Request) -> web.StreamResponse:
        openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
        response = web.StreamResponse(headers={"Content-Type": _OPENMETRICS if openmetrics else _PROMETHEUS})
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        with suppress(ConnectionResetError):  # a client that goes away in between
            for part in _parts(self._metrics.exposition(openmetrics=openmetrics)):
                await response.write(part)
                await asyncio.sleep(0)
        return response

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        if self._view.ready():
            return _json({"ready": True})
        reason = (
            "no pool is known, its endpoints were not asked for their load yet, another picker leads, "
            "or this one is stopping"
        )
        return _json({"ready": False, "reason": reason}, status=503)

    async def _endpoints(self, _: web.Request) -> web.Response:
        return _json(self._view.endpoints())

    async def _config(self, _: web.Request) -> web.Response:
        return _json(self._view.config())

    async def _decisions(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", str(DEFAULT_LIMIT))
        if not (limit.isascii() and limit.isdigit()) or len(limit) > 9:
            return _json({"error": "limit is not a whole number"}, status=400)
        return _json(self._view.decisions(int(limit), request.query.get("request_id", "")))


def _parts(pieces: Iterable[str]) -> Iterator[bytes]:
    """The pieces joined to parts of about _CHARACTERS_A_TURN."""
    part: list[str] = []
    characters = 0
    for piece in pieces:
        part.append(piece)
        characters += len(piece)
        if characters >= _CHARACTERS_A_TURN:
            yield "".join(part).encode()
            part.clear()
            characters = 0
    yield "".join(part).encode()


def _json(value: object, status: int = 200) -> web.Response:
    body = msgspec.json.encode(value) + b"\n"  # NaN becomes null
    return web.Response(body=body, status=status, content_type="application/json")
