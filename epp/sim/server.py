"""One simulated vLLM server: its endpoints in front of an `Instance`, with faults on request.

Beside vLLM's endpoints there are three for tests: POST /sim/faults, POST /sim/load and GET /sim/state. Every
answer says in `x-served-by` which server it comes from.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from epp.sim import bodies
from epp.sim.answers import Answer, ChatAnswer, CompletionAnswer, EmbeddingAnswer, ResponsesAnswer
from epp.sim.control import FaultChange, LoadPins
from epp.sim.faults import Fate, Faults
from epp.sim.inference import infer, json_response
from epp.sim.instance import Instance
from epp.sim.listener import Listener
from epp.sim.metrics_page import CONTENT_TYPE
from epp.sim.refusals import BodyError, InjectedError, RefusedError

# What the picker lets through, 64 MiB, is what a server has to take.
_MAX_BODY = 64 << 20

# The version whose manners these are.
_VLLM_VERSION = "0.32.0"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SimServer:
    """A server on one port: alive from `start`, dead after `die`, alive again (and new) after `revive`.

    `make_instance` gives each life; `peers` are all servers of the process, by which one can be asked to
    change the faults of another.
    """

    def __init__(
        self,
        listener: Listener,
        make_instance: Callable[[], Instance],
        faults: Faults,
        rng: random.Random,
        peers: Sequence[SimServer],
    ) -> None:
        self.faults = faults
        self._listener = listener
        self._make_instance = make_instance
        self._rng = rng
        self._peers = peers
        self._instance = make_instance()
        self._served = self._failed = self._hanging = 0  # requests
        self._not_hanging = asyncio.Event()
        self._process = _process_registry()

    @property
    def address(self) -> str:
        """`host:port`."""
        return self._listener.address

    @property
    def port(self) -> int:
        """0 until `start` has chosen one."""
        return self._listener.port

    async def start(self) -> None:
        """Serves. OSError if the port is taken."""
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[self._middleware])
        app.on_response_prepare.append(self._add_headers)
        app.add_routes(self._routes())
        await self._listener.start(app)

    async def close(self) -> None:
        """Ends for good."""
        self.die()
        await self._listener.close()

    def die(self) -> None:
        """Ends as a process does that is killed."""
        self._instance.close()
        self._listener.cut()

    async def revive(self) -> None:
        """Starts a dead server anew: same port, empty engine."""
        if not self._listener.is_open:
            self._instance = self._make_instance()
            await self._listener.open()

    async def set_faults(self, faults: Faults) -> None:
        """Replaces the faults.

        Without `die_after` a dead server comes back, without `hang_rate` hung requests go on.
        """
        self.faults = faults
        if not faults.hang_rate:
            self._not_hanging.set()
            self._not_hanging = asyncio.Event()
        if faults.die_after is None:
            await self.revive()
        elif faults.die_after == 0:
            self.die()

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/completions", self._inference(bodies.completion, CompletionAnswer)),
            web.post("/v1/chat/completions", self._inference(bodies.chat, ChatAnswer)),
            web.post("/v1/responses", self._inference(bodies.responses, ResponsesAnswer)),
            web.post("/v1/embeddings", self._inference(bodies.embedding, EmbeddingAnswer)),
            web.get("/v1/models", self._models),
            web.post("/v1/load_lora_adapter", self._load_adapter),
            web.post("/v1/unload_lora_adapter", self._unload_adapter),
            web.get("/health", self._health),
            web.get("/version", self._version),
            web.get("/metrics", self._metrics),
            web.get("/sim/state", self._state),
            web.post("/sim/faults", self._change_faults),
            web.post("/sim/load", self._pin_load),
        ]

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Errors in vLLM's form, and the count of every answer."""
        started = time.monotonic()
        statistics = self._instance.statistics
        try:
            response = await handler(request)
        except RefusedError as error:
            response = json_response(error.body(), status=error.status)
        except web.HTTPException as error:
            response = json_response({"detail": error.reason}, status=error.status)
        route = request.match_info.route.resource
        name = route.canonical if route is not None else "none"
        statistics.observe_http(name, request.method, response.status, time.monotonic() - started)
        return response

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["x-served-by"] = self.address
        if "x-request-id" in request.headers:
            response.headers["x-request-id"] = request.headers["x-request-id"]

    def _inference(self, parse: Callable[[bytes], bodies.Ask], answer_type: type[Answer]) -> Handler:
        """The handler of one inference API."""

        async def handle(request: web.Request) -> web.StreamResponse:
            ask = parse(await request.read())
            instance = self._instance
            instance.check(ask)
            answer = answer_type(uuid.uuid4().hex, ask.model or instance.model, int(time.time()))
            transport = request.transport
            assert transport is not None
            self._listener.busy.add(transport)
            try:
                response = await self._serve(request, instance, ask, answer)
                await response.prepare(request)
                await response.write_eof()
            finally:
                self._listener.busy.discard(transport)
            self._count_answer()
            return response

        return handle

    async def _serve(
        self, request: web.Request, instance: Instance, ask: bodies.Ask, answer: Answer
    ) -> web.StreamResponse:
        match self.faults.fate(self._rng):
            case Fate.FAILS:
                self._failed += 1
                error = InjectedError("This request was to fail.")
                return json_response(error.body(), status=error.status)
            case Fate.HANGS:
                await self._hang()
        response = await infer(request, instance, ask, answer)
        self._served += 1
        return response

    async def _hang(self) -> None:
        self._hanging += 1
        try:
            await self._not_hanging.wait()
        finally:
            self._hanging -= 1

    def _count_answer(self) -> None:
        if self.faults.die_after is not None:
            self.faults = replace(self.faults, die_after=max(self.faults.die_after - 1, 0))
            if not self.faults.die_after:
                self.die()

    async def _models(self, request: web.Request) -> web.Response:
        return json_response({"object": "list", "data": self._instance.model_cards()})

    async def _load_adapter(self, request: web.Request) -> web.Response:
        name, path = bodies.load_adapter(await request.read())
        self._instance.load_adapter(name, path)
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload_adapter(self, request: web.Request) -> web.Response:
        name = bodies.unload_adapter(await request.read())
        self._instance.unload_adapter(name)
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, request: web.Request) -> web.Response:
        return json_response({"version": _VLLM_VERSION})

    async def _metrics(self, request: web.Request) -> web.Response:
        page = self._instance.metrics(process=generate_latest(self._process).decode())
        return web.Response(body=page, headers={"content-type": CONTENT_TYPE})

    async def _state(self, request: web.Request) -> web.Response:
        engine = self._instance.engine
        state = {
            "server": self._peers.index(self),
            "address": self.address,
            "served": self._served,
            "failed": self._failed,
            "hanging": self._hanging,
            "cancelled": engine.counters.cancelled,
            "running": engine.running,
            "waiting": engine.waiting,
            "kv_usage": engine.kv_usage,
            "blocks_in_use": engine.blocks_in_use,
            "resident_adapters": engine.resident_adapters,
        }
        return json_response(state)

    async def _change_faults(self, request: web.Request) -> web.Response:
        change = bodies.decode(await request.read(), FaultChange)
        if change.server is not None and change.server >= len(self._peers):
            raise BodyError(f"there is no server {change.server}")
        server = self if change.server is None else self._peers[change.server]
        faults = change.apply(server.faults)
        response = json_response({"server": self._peers.index(server), **asdict(faults)})
        if server is self and faults.die_after == 0:  # the answer comes first
            await response.prepare(request)
            await response.write_eof()
        await server.set_faults(faults)
        return response

    async def _pin_load(self, request: web.Request) -> web.Response:
        pins = bodies.decode(await request.read(), LoadPins)
        self._instance.pinned = pins.apply(self._instance.pinned)
        return json_response(self._instance.pinned)


def _process_registry() -> CollectorRegistry:
    """What the Python client of Prometheus says of its process, and nothing else of this one."""
    registry = CollectorRegistry()
    GCCollector(registry)
    PlatformCollector(registry)
    ProcessCollector(registry=registry)
    return registry
