"""Watching processes that are not our children, and a real Envoy between a stub picker and two servers."""

import asyncio
import json
import os
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import httpx
import pytest
from aiohttp import web

from epp.extproc.names import DESTINATION, destination_metadata
from epp.gateway.bootstrap import envoy_bootstrap
from epp.gateway.clusters import HEALTH_SERVICE
from epp.gateway.eds import render_eds, write_eds
from epp.gateway.envoy import envoy_argv, find_envoy
from epp.gateway.processes import Part, Supervisor
from epp.gateway.settings import GatewaySettings
from epp.types import EndpointSpec
from epp.wire import health_pb2
from epp.wire.codec import decode_request, encode_answer
from epp.wire.messages import (
    Answer,
    HeaderMutation,
    HeadersAnswer,
    HttpBody,
    HttpHeaders,
    Message,
    Phase,
    StreamedBody,
    TrailersAnswer,
)

# Far more than anything here takes; a test that waits this long has failed.
PATIENCE = 20.0


@pytest.fixture
def gone() -> Callable[[int], None]:
    """Waits until a process has ended, whoever its parent is."""

    def wait(pid: int) -> None:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            assert select.select([watch], [], [], PATIENCE)[0], f"{pid} lives on"
        finally:
            os.close(watch)

    return wait


@pytest.fixture
def children() -> Callable[[], list[int]]:
    """The processes whose parent is this one, zombies included."""

    def find() -> list[int]:
        path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        return [int(pid) for pid in path.read_text().split()]

    return find


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port of 127.0.0.1 that nothing listened on a moment ago."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find


@pytest.fixture
def eventually_ok() -> Callable[[httpx.AsyncClient, Callable[[httpx.Response], bool]], Awaitable[None]]:
    """Asks until the answer is as wanted."""

    async def ask(client: httpx.AsyncClient, wanted: Callable[[httpx.Response], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not wanted(await client.get("/health")):
                pass

    return ask


class StubPicker(grpc.GenericRpcHandler):
    """Sends each request where `destination` says, bodies through as they come, and remembers what it saw."""

    def __init__(self) -> None:
        self.destination = ""
        self.healthy = False
        self.seen: list[Message] = []
        self.server: grpc.aio.Server | None = None

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> None:
        self.server = grpc.aio.server()
        self.server.add_generic_rpc_handlers([self])
        if credentials is None:
            self.server.add_insecure_port(address)
        else:
            self.server.add_secure_port(address, credentials)
        await self.server.start()

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(grace=None)
            self.server = None

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(self._check)
        return grpc.stream_stream_rpc_method_handler(
            self._process, request_deserializer=decode_request, response_serializer=encode_answer
        )

    async def _check(self, request: bytes, _: object) -> bytes:
        assert health_pb2.HealthCheckRequest.FromString(request).service == HEALTH_SERVICE
        serving, not_serving = 1, 2
        status = serving if self.healthy else not_serving
        return bytes(health_pb2.HealthCheckResponse(status=status).SerializeToString())

    async def _process(self, messages: AsyncIterator[Message], _: object) -> AsyncIterator[Answer]:
        async for message in messages:
            self.seen.append(message)
            yield self._answer(message)

    def _answer(self, message: Message) -> Answer:
        match message:
            case HttpHeaders(phase=Phase.REQUEST):
                return HeadersAnswer(
                    Phase.REQUEST,
                    HeaderMutation(set=((DESTINATION, self.destination),)),
                    dynamic_metadata=destination_metadata(self.destination),
                )
            case HttpHeaders():
                return HeadersAnswer(message.phase)
            case HttpBody():
                return StreamedBody(message.phase, message.data, message.end_of_stream)
            case _:
                return TrailersAnswer(message.phase)

    def headers(self, phase: Phase) -> list[dict[str, str]]:
        return [
            dict(each.headers) for each in self.seen if isinstance(each, HttpHeaders) and each.phase is phase
        ]


@pytest.fixture
async def stub_picker() -> AsyncIterator[StubPicker]:
    stub = StubPicker()
    yield stub
    await stub.stop()


class Backend:
    """A model server that says who it is and what it was asked."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.port = port
        self.requests: list[dict[str, str]] = []
        self.names_itself = True

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append({name.lower(): value for name, value in request.headers.items()})
        headers = {"x-served-by": self.address} if self.names_itself else {}
        return web.json_response({"bytes": len(body)}, headers=headers)


@pytest.fixture
async def backends(free_port: Callable[[], int]) -> AsyncIterator[list[Backend]]:
    """Two of them."""
    runners = []
    servers = [Backend(free_port()) for _ in range(2)]
    for server in servers:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", server.answer)
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", server.port).start()
    yield servers
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def run_envoy(
    tmp_path: Path, free_port: Callable[[], int]
) -> AsyncIterator[Callable[..., Awaitable[httpx.AsyncClient]]]:
    """Runs the real Envoy on settings, in front of endpoints; a client of it."""
    eds = tmp_path / "eds" / "eds.json"
    eds.parent.mkdir()

    async with AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(Supervisor(print))

        async def run(endpoints: Iterable[EndpointSpec] = (), **settings: object) -> httpx.AsyncClient:
            write_eds(eds, render_eds(endpoints))
            chosen = GatewaySettings(port=free_port(), admin_port=free_port(), eds_file=str(eds), **settings)  # type: ignore[arg-type]
            bootstrap = tmp_path / "bootstrap.json"
            bootstrap.write_text(json.dumps(envoy_bootstrap(chosen)))
            admin = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{chosen.admin_port}")
            )

            async def ready() -> bool:
                try:
                    return (await admin.get("/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await supervisor.start(Part("envoy", envoy_argv(find_envoy(), bootstrap), ready))
            client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{chosen.port}", timeout=60)
            return await stack.enter_async_context(client)

        yield run
