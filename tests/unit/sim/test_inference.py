"""One inference request over HTTP, without the server around it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from epp.sim.answers import Answer, CompletionAnswer, EmbeddingAnswer
from epp.sim.bodies import Ask
from epp.sim.engine import EngineConfig
from epp.sim.inference import infer, json_response
from epp.sim.instance import Instance
from epp.sim.listener import Listener


@asynccontextmanager
async def answered(ask: Ask, answer: Answer, form: str = "") -> AsyncIterator[aiohttp.ClientResponse]:
    """The response of a server that answers everything with this."""
    instance = Instance(EngineConfig(), "base", (), time_scale=100)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await infer(request, instance, ask, answer)

    app = web.Application()
    app.add_routes([web.get("/", handle)])
    listener = Listener("127.0.0.1", 0)
    await listener.start(app)
    headers = {"endpoint-load-metrics-format": form} if form else {}
    address = f"http://{listener.address}/"
    async with aiohttp.ClientSession() as client, client.get(address, headers=headers) as response:
        yield response
    await listener.close()


async def test_a_whole_answer() -> None:
    answer = CompletionAnswer("1", "base", 99)
    async with answered(Ask("base", (b"four",), 2), answer, form="JSON") as response:
        body = await response.json()
        assert body["usage"]["completion_tokens"] == 2
        load = response.headers["endpoint-load-metrics"]
    assert load == 'JSON {"named_metrics": {"num_requests_waiting": 0.0, "kv_cache_usage_perc": 0.0}}'


async def test_a_streamed_answer() -> None:
    ask = Ask("base", (b"four",), 2, stream=True, continuous_usage=True)
    async with answered(ask, CompletionAnswer("1", "base", 99)) as response:
        events = (await response.text()).split("\n\n")
        assert response.content_type == "text/event-stream"
        assert "endpoint-load-metrics" not in response.headers
    chunks: list[Any] = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [1, 2]
    assert events[-2:] == ["data: [DONE]", ""]


async def test_embeddings_are_never_streamed() -> None:
    async with answered(
        Ask("base", (b"four",), 1, stream=True), EmbeddingAnswer("1", "base", 99)
    ) as response:
        assert (await response.json())["object"] == "list"


def test_json_has_no_spaces() -> None:
    response = json_response({"a": [1, 2]}, status=404, headers={"x": "y"})
    assert (response.status, response.headers["x"], response.body) == (404, "y", b'{"a":[1,2]}')
    assert response.content_type == "application/json"
