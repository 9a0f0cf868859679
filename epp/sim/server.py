"""One simulated vLLM server: HTTP in front of an `Instance`, with faults on request.

Beside vLLM's endpoints there are three for tests: POST /sim/faults, POST /sim/load and GET /sim/state. Every
answer says in `x-served-by` which server it comes from.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import msgspec
from aiohttp import HttpVersion11, web
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from epp.sim import bodies
from epp.sim.answers import (
    Answer,
    ChatAnswer,
    CompletionAnswer,
    EmbeddingAnswer,
    ResponsesAnswer,
    error_body,
)
from epp.sim.control import FaultChange, LoadPins
from epp.sim.faults import Fate, Faults
from epp.sim.instance import Instance, TooLongError, UnknownModelError
from epp.sim.metrics_page import CONTENT_TYPE, load_header
from epp.sim.reply import Reply
from epp.types import format_address

# What the picker lets through, 64 MiB, is what a server has to take.
_MAX_BODY = 64 << 20

# The version whose manners these are.
_VLLM_VERSION = "0.32.0"

# Real seconds that `close` waits for handlers whose connections it has cut.
_CLOSE_TIMEOUT = 0.5

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SimServer:
    """A server on one port: alive from `start`, dead after `die`, alive again (and new) after `revive`.

    `make_instance` gives each life; `peers` are all servers of the process, by which one can be asked to
    change the faults of another.
    """

    def __init__(
        self,
        host: str,
        port: int,
        make_instance: Callable[[], Instance],
        faults: Faults,
        rng: random.Random,
        peers: Sequence[SimServer],
    ) -> None:
        self.host = host
        self.port = port  # 0 until `start` has chosen one
        self.served = self.failed = 0
        self.faults = faults
        self._make_instance = make_instance
        self._rng = rng
        self._peers = peers
        self._instance = make_instance()
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._busy: set[asyncio.BaseTransport] = set()  # connections with a request in work
        self._hanging = 0  # requests
        self._not_hanging = asyncio.Event()
        self._process_registry = CollectorRegistry()
        GCCollector(self._process_registry)
        PlatformCollector(self._process_registry)
        ProcessCollector(registry=self._process_registry)

    @property
    def address(self) -> str:
        """`host:port`."""
        return format_address(self.host, self.port)

    @property
    def alive(self) -> bool:
        """Whether it listens."""
        return self._listener is not None

    async def start(self) -> None:
        """Listens. OSError if the port is taken."""
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[self._middleware])
        app.on_response_prepare.append(self._add_headers)
        app.add_routes(self._routes())
        # A client that goes away cancels its handler, which cancels the request in the engine.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_CLOSE_TIMEOUT
        )
        await self._runner.setup()
        await self._listen()

    async def close(self) -> None:
        """Ends for good."""
        self.die()
        if self._runner is not None:
            await self._runner.cleanup()

    def die(self) -> None:
        """Closes the listener and cuts every connection, as a process does that is killed."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        self._instance.close()
        for transport in self._connections():
            if transport in self._busy:
                transport.abort()
            else:
                transport.close()  # an answer that is complete still goes out

    async def revive(self) -> None:
        """Starts a dead server anew: same port, empty engine."""
        if self._listener is None:
            self._instance = self._make_instance()
            await self._listen()

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

    def state(self) -> dict[str, Any]:
        """What tests ask for."""
        engine = self._instance.engine
        return {
            "address": self.address,
            "alive": self.alive,
            "served": self.served,
            "failed": self.failed,
            "hanging": self._hanging,
            "cancelled": engine.counters.cancelled,
            "running": engine.running,
            "waiting": engine.waiting,
            "kv_usage": engine.kv_usage,
            "blocks_in_use": engine.blocks_in_use,
            "resident_adapters": engine.resident_adapters,
        }

    async def _listen(self) -> None:
        assert self._runner is not None
        assert self._runner.server is not None
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._runner.server, self.host, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    def _connections(self) -> list[asyncio.Transport]:
        assert self._runner is not None
        assert self._runner.server is not None
        return [
            handler.transport for handler in self._runner.server.connections if handler.transport is not None
        ]

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
        instance = self._instance
        try:
            response = await handler(request)
        except bodies.BodyError as error:
            response = _error(400, "BadRequestError", str(error))
        except TooLongError as error:
            response = _error(400, "BadRequestError", str(error))
        except UnknownModelError as error:
            response = _error(404, "NotFoundError", str(error), param="model")
        except web.HTTPException as error:
            response = _json({"detail": error.reason}, status=error.status)
        route = request.match_info.route.resource
        handler_name = route.canonical if route is not None else "none"
        instance.metrics.observe_http(
            handler_name, request.method, response.status, time.monotonic() - started
        )
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
            self._busy.add(transport)
            try:
                response = await self._infer(request, instance, ask, answer)
                await response.prepare(request)
                await response.write_eof()
            finally:
                self._busy.discard(transport)
            self._count_answer(response.status)
            return response

        return handle

    async def _infer(
        self, request: web.Request, instance: Instance, ask: bodies.Ask, answer: Answer
    ) -> web.StreamResponse:
        match self.faults.fate(self._rng):
            case Fate.FAILS:
                return _error(500, "InternalServerError", "Internal server error (injected fault)")
            case Fate.HANGS:
                await self._hang()
        if ask.stream and not isinstance(answer, EmbeddingAnswer):
            return await self._stream(request, instance, ask, answer)
        reply = Reply(ask, answer, write=None)
        await _finish(instance, ask, reply)
        headers = self._load_headers(request, instance)
        return _json(answer.whole(reply.texts, reply.usage), headers=headers)

    async def _hang(self) -> None:
        self._hanging += 1
        try:
            await self._not_hanging.wait()
        finally:
            self._hanging -= 1

    async def _stream(
        self, request: web.Request, instance: Instance, ask: bodies.Ask, answer: Answer
    ) -> web.StreamResponse:
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            **self._load_headers(request, instance),
        }
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        write = _writer(request)
        reply = Reply(ask, answer, write)
        await _finish(instance, ask, reply)
        write(reply.closing())
        return response

    def _count_answer(self, status: int) -> None:
        if status < 400:
            self.served += 1
        else:
            self.failed += 1
        if self.faults.die_after is not None:
            left = max(self.faults.die_after - 1, 0)
            self.faults = replace(self.faults, die_after=left)
            if not left:
                self.die()

    def _load_headers(self, request: web.Request, instance: Instance) -> dict[str, str]:
        value = load_header(request.headers.get("endpoint-load-metrics-format", ""), instance.gauges)
        return {} if value is None else {"endpoint-load-metrics": value}

    async def _models(self, request: web.Request) -> web.Response:
        instance = self._instance
        base = _model_card(instance, instance.model, instance.model, None) | {
            "max_model_len": instance.max_model_len
        }
        adapters = [
            _model_card(instance, name, path, instance.model) for name, path in instance.adapters.items()
        ]
        return _json({"object": "list", "data": [base, *adapters]})

    async def _load_adapter(self, request: web.Request) -> web.Response:
        name, path = bodies.load_adapter(await request.read())
        if name in self._instance.adapters:
            return _error(400, "InvalidUserInput", f"The lora adapter '{name}' has already been loaded.")
        self._instance.adapters[name] = path
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload_adapter(self, request: web.Request) -> web.Response:
        name = bodies.unload_adapter(await request.read())
        if self._instance.adapters.pop(name, None) is None:
            return _error(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, request: web.Request) -> web.Response:
        return _json({"version": _VLLM_VERSION})

    async def _metrics(self, request: web.Request) -> web.Response:
        instance = self._instance
        process = generate_latest(self._process_registry).decode()
        page = instance.metrics.render(instance.gauges, instance.engine.counters, process)
        return web.Response(body=page, headers={"content-type": CONTENT_TYPE})

    async def _state(self, request: web.Request) -> web.Response:
        return _json({"server": self._peers.index(self), **self.state()})

    async def _change_faults(self, request: web.Request) -> web.Response:
        change = bodies.decode(await request.read(), FaultChange)
        if change.server is not None and change.server >= len(self._peers):
            raise bodies.BodyError(f"there is no server {change.server}")
        server = self if change.server is None else self._peers[change.server]
        faults = change.apply(server.faults)
        response = _json({"server": self._peers.index(server), **asdict(faults)})
        if server is self and faults.die_after == 0:
            await response.prepare(request)
            await response.write_eof()
        await server.set_faults(faults)
        return response

    async def _pin_load(self, request: web.Request) -> web.Response:
        pins = bodies.decode(await request.read(), LoadPins)
        self._instance.pinned = pins.apply(self._instance.pinned)
        return _json(self._instance.pinned)


async def _finish(instance: Instance, ask: bodies.Ask, reply: Reply) -> None:
    """Has `reply` made; whatever ends the wait early gives everything back."""
    try:
        instance.submit(ask, reply)
        await reply.done
    finally:
        instance.cancel(reply)


def _writer(request: web.Request) -> Callable[[bytes], None]:
    """Writes pieces of a body that was begun with StreamResponse.prepare, without a coroutine for each."""
    transport = request.transport
    assert transport is not None
    chunked = request.version >= HttpVersion11

    def write(data: bytes) -> None:
        if data and not transport.is_closing():
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

    return write


def _model_card(instance: Instance, name: str, root: str, parent: str | None) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": int(instance.created),
        "owned_by": "vllm",
        "root": root,
        "parent": parent,
        "max_model_len": None,
        "permission": [],
    }


def _json(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Without spaces, as vLLM writes it."""
    body = msgspec.json.encode(data)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _error(status: int, kind: str, message: str, param: str | None = None) -> web.Response:
    return _json(error_body(status, kind, message, param), status=status)
