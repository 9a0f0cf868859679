"""Bodies and headers arrive as they were sent, and what has to differ differs in nothing else.

The backends are the test's own: they remember every byte, and echo the body. Each mode is used both ways, so
an echo shows the path of the answer as well.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from epp.gateway.settings import BodyModeName
from tests.e2e.asks import CHAT, COMPLETIONS, ask, completion, connection, http_head, picked_for
from tests.e2e.backend import Backend, Seen, backends, echo
from tests.e2e.process import eventually
from tests.e2e.stack import Gateway, Picker, Pool, client_of, request_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODES = get_args(BodyModeName)
# Where the picker sees the body before it places the request, and so can rewrite the model.
READING_MODES = ("FULL_DUPLEX_STREAMED", "BUFFERED", "BUFFERED_PARTIAL")

# Around the size of our own pieces (62,000), of a mebibyte, and beyond what Envoy holds for a connection.
SIZES = (1, 61_990, 62_100, 1 << 20, 5 << 20)

LIMIT = 64 << 20  # the default of --max-request-bytes, and of what Envoy buffers

REWRITES = [{"name": "renamed", "models": ["old"], "targets": [{"model": "a-new-and-longer-näme"}]}]
NEW_NAME = json.dumps("a-new-and-longer-näme").encode()


class World:
    """Two backends, a picker and a gateway for each mode."""

    def __init__(
        self, servers: list[Backend], pool: Pool, picker: Picker, gateways: dict[str, Gateway]
    ) -> None:
        self.servers = servers
        self.pool = pool
        self.picker = picker
        self.gateways = gateways

    def client(self, mode: str) -> httpx.AsyncClient:
        return self.gateways[mode].client

    def arrived(self) -> tuple[Backend, Seen]:
        """The one request that has arrived since the last call, and where."""
        [(server, seen)] = [(server, seen) for server in self.servers for seen in server.seen]
        server.seen.clear()
        return server, seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, transport: str) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("bodies")
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(backends(2))
        pool = Pool(folder / "pool", [server.address for server in servers], rewrites=REWRITES)
        picker = await stack.enter_async_context(Picker(folder, pool, transport=transport))
        gateways = {
            mode: await stack.enter_async_context(
                Gateway(folder, picker, pool, request_body_mode=mode, response_body_mode=mode)
            )
            for mode in MODES
        }
        yield World(servers, pool, picker, gateways)


@pytest.fixture(autouse=True)
def echoing(world: World) -> None:
    for server in world.servers:
        server.answer = echo
        server.seen.clear()


def body_of(size: int, model: str = "any") -> bytes:
    """A completion with a prompt of `size` bytes, and everything that a re-encoder would change."""
    prompt = ("0123456789abcdef" * (size // 16 + 1))[:size]
    return (
        f'{{ "max_tokens":1.0e1 ,\n\t"model" : "{model}",\r\n "prompt":"{prompt}", "user": "caf\\u00e9 é",'
        ' "user" : "twice", "seed": 18446744073709551616 } \n'
    ).encode()


async def in_pieces(body: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
@pytest.mark.parametrize("mode", MODES)
async def test_bodies_pass_byte_for_byte(world: World, mode: str, chunked: bool) -> None:
    for size in SIZES:
        body = body_of(size)
        content = in_pieces(body) if chunked else body
        response = await world.client(mode).post(COMPLETIONS, content=content)
        _, seen = world.arrived()
        assert response.status_code == 200, response.text
        assert seen.body == body
        assert response.content == body
        assert seen.values("content-length") in ([], [str(len(body))])
        assert bool(seen.values("content-length")) != bool(seen.values("transfer-encoding"))
        assert response.headers.get("content-length", str(len(body))) == str(len(body))


@pytest.mark.parametrize("mode", ["BUFFERED", "NONE"])
async def test_where_envoy_knows_the_length_the_server_is_told(world: World, mode: str) -> None:
    for model in ("any", "old"):
        await world.client(mode).post(COMPLETIONS, content=body_of(1 << 20, model))
        _, seen = world.arrived()
        assert seen.values("content-length") == [str(len(seen.body))]
        assert seen.values("transfer-encoding") == []


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
@pytest.mark.parametrize("mode", READING_MODES)
async def test_a_rewrite_changes_the_name_and_no_other_byte(world: World, mode: str, chunked: bool) -> None:
    for size in SIZES:
        body = body_of(size, "old")
        content = in_pieces(body) if chunked else body
        response = await world.client(mode).post(COMPLETIONS, content=content)
        _, seen = world.arrived()
        assert seen.body == body.replace(b'"old"', NEW_NAME)
        assert response.content == body  # the echo, with the name written back
        assert seen.values("content-length") in ([], [str(len(seen.body))])
        assert response.headers.get("content-length", str(len(body))) == str(len(body))


@pytest.mark.parametrize("mode", READING_MODES)
async def test_the_rewrite_header_names_another_model(world: World, mode: str) -> None:
    body = body_of(1000)
    headers = {"x-gateway-model-name-rewrite": "tuned"}
    response = await world.client(mode).post(COMPLETIONS, content=body, headers=headers)
    _, seen = world.arrived()
    assert seen.body == body.replace(b'"any"', b'"tuned"')
    assert response.content == body


@pytest.mark.parametrize("mode", READING_MODES)
async def test_the_name_is_written_back_wherever_the_stream_is_cut(world: World, mode: str) -> None:
    event = b'data: {"model":%s,"choices":[{"text":"model"}]}\n\n' % NEW_NAME

    async def stream(request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for cut in range(len(event)):
            await response.write(event[:cut])
            await asyncio.sleep(0)  # another chunk, and now and then another read of Envoy's
            await response.write(event[cut:])
        return response

    for server in world.servers:
        server.answer = stream
    response = await ask(world.client(mode), COMPLETIONS, completion(model="old", stream=True))
    assert response.content == len(event) * event.replace(NEW_NAME, b'"old"')


@pytest.mark.parametrize("mode", READING_MODES)
async def test_a_rewritten_answer_has_the_right_length(world: World, mode: str) -> None:
    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        return web.Response(body=b'{"model": %s}' % NEW_NAME, content_type="application/json")

    for server in world.servers:
        server.answer = answer
    response = await ask(world.client(mode), COMPLETIONS, completion(model="old"))
    assert response.json() == {"model": "old"}
    assert response.headers.get("content-length", "16") == str(len(response.content))


@pytest.mark.parametrize("mode", MODES)
async def test_repeated_headers_arrive_complete(world: World, mode: str) -> None:
    headers = [
        *(("cookie", "a=1"), ("cookie", "b=2"), ("via", "1.1 one"), ("via", "1.1 two")),
        *(("x-twice", "1"), ("x-twice", "2"), ("authorization", "Bearer t")),
    ]
    body = b'{"model": "any", "prompt": "hi"}'
    response = await world.client(mode).post(COMPLETIONS, content=body, headers=headers)
    assert response.status_code == 200
    _, seen = world.arrived()
    assert "; ".join(seen.values("cookie")) == "a=1; b=2"
    assert ",".join(seen.values("via")) == "1.1 one,1.1 two"
    assert seen.values("x-twice") == ["1", "2"]
    assert seen.values("authorization") == ["Bearer t"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_forged_destination_is_of_no_use(world: World, mode: str) -> None:
    for forged in world.servers:
        headers = {
            "x-gateway-destination-endpoint": forged.address,
            "x-gateway-destination-endpoint-subset": forged.address,
            "x-gateway-destination-endpoint-served": forged.address,
        }
        response = await ask(world.client(mode), COMPLETIONS, completion(), headers)
        server, seen = world.arrived()
        picked = await picked_for(world.picker, response)
        assert server.address == picked
        assert seen.values("x-gateway-destination-endpoint") == [picked]
        decision = await world.picker.decision(response.request.headers["x-request-id"])
        assert len(decision["candidates"]) == 2


@pytest.mark.parametrize("mode", MODES)
async def test_control_headers_stay_in_the_gateway(world: World, mode: str) -> None:
    controls = {
        "x-gateway-inference-objective": "batch",
        "x-gateway-inference-fairness-id": "tenant",
        "x-gateway-model-name-rewrite": "",
        "x-gateway-destination-endpoint-subset": "10.0.0.1",
        "x-gateway-destination-endpoint-served": "10.0.0.1",
    }
    response = await ask(
        world.client(mode), CHAT, {"model": "any", "messages": [{"content": "hi"}]}, controls
    )
    assert response.status_code == 200
    _, seen = world.arrived()
    assert not [name for name, _ in seen.headers if name in controls]
    assert seen.values("endpoint-load-metrics-format") == ["TEXT"]


@pytest.mark.parametrize("mode", MODES)
async def test_the_load_header_is_for_those_who_asked(world: World, mode: str) -> None:
    asked_for = []

    async def tell(request: web.Request, _: bytes) -> web.StreamResponse:
        asked_for.append(request.headers["endpoint-load-metrics-format"])
        headers = {"endpoint-load-metrics": "TEXT named_metrics.num_requests_waiting=3.0", "x-own": "kept"}
        return web.json_response({}, headers=headers)

    for server in world.servers:
        server.answer = tell
    silent = await ask(world.client(mode), COMPLETIONS, completion())
    told = await ask(world.client(mode), COMPLETIONS, completion(), {"endpoint-load-metrics-format": "JSON"})
    assert asked_for == ["TEXT", "JSON"]
    assert "endpoint-load-metrics" not in silent.headers
    assert told.headers["endpoint-load-metrics"].startswith("TEXT ")
    assert silent.headers["x-own"] == told.headers["x-own"] == "kept"


async def test_a_request_without_an_id_gets_one(world: World) -> None:
    await world.client("FULL_DUPLEX_STREAMED").post(COMPLETIONS, json=completion())
    _, seen = world.arrived()
    [id] = seen.values("x-request-id")
    assert (await world.picker.decision(id))["request_id"] == id


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE"])
async def test_other_methods_are_placed_like_a_get(world: World, mode: str, method: str) -> None:
    response = await world.client(mode).request(method, "/v1/files/1?after=2")
    assert response.status_code == 200
    _, seen = world.arrived()
    assert (seen.method, seen.path, seen.body) == (method, "/v1/files/1?after=2", b"")


@pytest.mark.parametrize("mode", MODES)
async def test_expect_100_continue(world: World, mode: str) -> None:
    body = body_of(1000)
    head = [
        f"POST {COMPLETIONS} HTTP/1.1",
        "host: here",
        "expect: 100-continue",
        f"content-length: {len(body)}",
    ]
    async with connection(world.gateways[mode].port) as (reader, writer):
        writer.write(http_head(head))
        assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert world.arrived()[1].body == body


@pytest.mark.parametrize("mode", MODES)
async def test_a_chunked_body_with_trailers_arrives_once(world: World, mode: str) -> None:
    body = b'{"model": "any", "prompt": "hi"}'
    head = [f"POST {COMPLETIONS} HTTP/1.1", "host: here", "transfer-encoding: chunked"]
    async with connection(world.gateways[mode].port) as (reader, writer):
        writer.write(http_head(head) + b"%x\r\n%b\r\n0\r\nx-checksum: 1\r\n\r\n" % (len(body), body))
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert world.arrived()[1].body == body


def small_buffers(manager: dict[str, Any]) -> None:
    """A gateway that keeps no more of a body than of a connection: 3 MiB, where ours keeps 64."""
    del manager["route_config"]["virtual_hosts"][0]["routes"][0]["request_body_buffer_limit"]


PROMPT = b'"prompt": "%b"' % (b"p" * (5 << 20))


@pytest.mark.parametrize(
    ("body", "model", "renamed"),
    [
        (b'{"model": "old", %b, "user": "u"}' % PROMPT, "old", True),
        # What has not come yet cannot be known, nor rewritten.
        (b'{%b, "user": "u", "model": "old"}' % PROMPT, "", False),
    ],
    ids=["model first", "model last"],
)
async def test_a_part_of_the_body_is_enough_in_buffered_partial_mode(
    world: World, tmp_path: Path, body: bytes, model: str, renamed: bool
) -> None:
    front = Gateway(tmp_path, world.picker, world.pool, small_buffers, request_body_mode="BUFFERED_PARTIAL")
    id = request_id()

    async def part_by_part() -> AsyncIterator[bytes]:
        yield body[:-30]
        await eventually(world.picker.in_flight, "the placement of a request by its first part")
        yield body[-30:]

    async with front as gateway:
        response = await gateway.client.post(
            COMPLETIONS, content=part_by_part(), headers={"x-request-id": id}
        )
    assert response.status_code == 200
    decision = await world.picker.decision(id)
    assert decision["model"] == model
    assert decision["body_bytes"] <= len(body) - 30
    assert world.arrived()[1].body == (body.replace(b'"old"', NEW_NAME) if renamed else body)


async def test_buffered_mode_is_bounded_by_envoy(world: World, tmp_path: Path) -> None:
    front = Gateway(tmp_path, world.picker, world.pool, small_buffers, request_body_mode="BUFFERED")
    async with front as gateway, client_of(gateway.port) as client:
        response = await client.post(COMPLETIONS, content=body_of(5 << 20))
    assert (response.status_code, response.text) == (413, "Payload Too Large")


def oversized() -> Iterator[bytes]:
    yield b'{"model": "any", "prompt": "'
    for _ in range(LIMIT >> 20):
        yield b"p" * (1 << 20)
    yield b'"}'


# Where a body is too long is for whoever has to hold it: the picker, or Envoy in BUFFERED mode; no one where
# it only streams by.
@pytest.mark.parametrize(
    ("mode", "reason"),
    [("FULL_DUPLEX_STREAMED", "too_large"), ("BUFFERED_PARTIAL", "too_large"), ("BUFFERED", None)],
)
async def test_a_body_over_the_limit_is_413(world: World, mode: str, reason: str | None) -> None:
    async with client_of(world.gateways[mode].port) as client:
        response = await client.post(COMPLETIONS, content=b"".join(oversized()))
    assert response.status_code == 413
    assert response.headers.get("x-inference-error-reason") == reason
    assert not [seen for server in world.servers for seen in server.seen]
    await eventually(world.picker.is_idle)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        (COMPLETIONS, b"{", "bad_json"),
        (COMPLETIONS, b"[]", "bad_json"),
        (COMPLETIONS, b'{"model": "any"}', "bad_shape"),
        (CHAT, b'{"model": "any", "messages": "hi"}', "bad_shape"),
        (COMPLETIONS, b'{"prompt": "hi"}', "no_model"),
        ("/v1/other", b'{"model": 7}', "no_model"),
    ],
)
async def test_errors_are_clear_where_the_body_is_read(
    world: World, mode: str, path: str, body: bytes, reason: str
) -> None:
    response = await world.client(mode).post(path, content=body)
    if mode not in READING_MODES:
        assert response.content == body  # the endpoint's business
        return
    assert response.status_code == 400
    assert response.headers["x-inference-error-reason"] == reason
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", 400)
    assert error["message"]
