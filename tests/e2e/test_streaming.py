"""An answer streams: the client has each token before the next one is made, and its usage counts once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from tests.e2e.asks import CHAT, COMPLETIONS, ask, chat, completion, events
from tests.e2e.backend import Backend
from tests.e2e.process import PATIENCE, eventually
from tests.e2e.stack import (
    BASE_MODEL,
    Gateway,
    Picker,
    Pool,
    Stack,
    client_of,
    request_id,
    running_stack,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The modes in which an answer can stream. Envoy waits for the whole of it in the buffered ones.
STREAMING_MODES = ("FULL_DUPLEX_STREAMED", "STREAMED", "NONE")

REWRITES = [{"name": "renamed", "models": ["alias"], "targets": [{"model": "real-model"}]}]

TOKENS = [
    b'data: {"model":"real-model","choices":[{"index":0,"text":"token %d"}]}\n\n' % number
    for number in range(5)
] + [b"data: [DONE]\n\n"]


class Paced:
    """Answers with TOKENS, each made only when the test says so."""

    def __init__(self) -> None:
        self.made = 0
        self._allowed = asyncio.Semaphore(0)

    def make_next(self) -> None:
        self._allowed.release()

    async def answer(self, request: web.Request, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for token in TOKENS:
            await self._allowed.acquire()
            self.made += 1
            await response.write(token)
        return response


async def read(stream: AsyncIterator[bytes], size: int) -> bytes:
    """The next `size` bytes; it is an error if more came."""
    data = b""
    while len(data) < size:
        data += await asyncio.wait_for(anext(stream), PATIENCE)
    assert len(data) == size
    return data


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backend]:
    async with Backend().serving() as backend:
        yield backend


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory, transport: str
) -> AsyncIterator[dict[str, Gateway]]:
    folder: Path = tmp_path_factory.mktemp("paced")
    pool = Pool(folder / "pool", [backend.address], rewrites=REWRITES)
    async with AsyncExitStack() as stack:
        picker = await stack.enter_async_context(Picker(folder, pool, transport=transport))
        yield {
            mode: await stack.enter_async_context(Gateway(folder, picker, pool, response_body_mode=mode))
            for mode in STREAMING_MODES
        }


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("mode", STREAMING_MODES)
async def test_each_token_arrives_before_the_next_is_made(
    gateways: dict[str, Gateway], backend: Backend, mode: str, http2: bool
) -> None:
    paced = Paced()
    backend.answer = paced.answer
    client = client_of(gateways[mode].port, http1=not http2, http2=http2)
    async with client, client.stream("POST", COMPLETIONS, json=completion(stream=True)) as response:
        assert (response.status_code, paced.made) == (200, 0)
        stream = response.aiter_raw()
        for number, token in enumerate(TOKENS, start=1):
            paced.make_next()
            assert await read(stream, len(token)) == token
            assert paced.made == number
        assert await anext(stream, None) is None


@pytest.mark.parametrize("mode", ["FULL_DUPLEX_STREAMED", "STREAMED"])
async def test_writing_the_models_name_back_holds_no_token_up(
    gateways: dict[str, Gateway], backend: Backend, mode: str
) -> None:
    paced = Paced()
    backend.answer = paced.answer
    body = completion(model="alias", stream=True)
    async with gateways[mode].client.stream("POST", COMPLETIONS, json=body) as response:
        stream = response.aiter_raw()
        for token in TOKENS:
            paced.make_next()
            expected = token.replace(b"real-model", b"alias")
            assert await read(stream, len(expected)) == expected


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, transport: str) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("streams")
    async with running_stack(folder, sim=["--time-scale=50"], transport=transport) as stack:
        yield stack


async def counted(picker: Picker) -> tuple[float, float, float]:
    """Answers whose usage was counted, and the sums of their prompt and output tokens."""
    names = ("output_tokens_count", "input_tokens_sum", "output_tokens_sum")
    count, prompt, output = [await picker.metric(f"inference_objective_{name}") for name in names]
    return count, prompt, output


USAGE = {"include_usage": True}
EVERY_TIME = {"include_usage": True, "continuous_usage_stats": True}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETIONS, completion(max_tokens=7)),
        (CHAT, chat(max_tokens=7)),
        (COMPLETIONS, completion(max_tokens=7, stream=True, stream_options=USAGE)),
        (CHAT, chat(max_tokens=7, stream=True, stream_options=USAGE)),
        (CHAT, chat(max_tokens=7, stream=True, stream_options=EVERY_TIME)),
        ("/v1/responses", {"model": BASE_MODEL, "input": "hi", "max_output_tokens": 7}),
        ("/v1/responses", {"model": BASE_MODEL, "input": "hi", "max_output_tokens": 7, "stream": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else f"stream={value.get('stream_options')}",
)
async def test_usage_is_counted_once(stack: Stack, path: str, body: dict[str, Any]) -> None:
    before = await counted(stack.picker)
    answer = await ask(stack.client, path, body)
    assert answer.status_code == 200
    await eventually(stack.picker.is_idle)
    count, prompt, output = [
        after - old for after, old in zip(await counted(stack.picker), before, strict=True)
    ]
    assert (count, output) == (1, 7)
    assert prompt == prompt_tokens(answer)


def prompt_tokens(answer: httpx.Response) -> int:
    """What the answer, whole or streamed, says in the end."""
    text = answer.text
    at = max(text.rfind('"prompt_tokens":'), text.rfind('"input_tokens":'))
    number, _ = json.JSONDecoder().raw_decode(text, text.index(":", at) + 1)
    assert isinstance(number, int)
    return number


async def test_a_stream_that_reports_no_usage_counts_none(stack: Stack) -> None:
    before = await counted(stack.picker)
    answer = await ask(stack.client, COMPLETIONS, completion(stream=True))
    assert len(events(answer.content)) == 4
    await eventually(stack.picker.is_idle)
    assert await counted(stack.picker) == before


async def test_streams_beside_each_other(stack: Stack) -> None:
    """Forty at a time, each complete and each with its own answer."""
    lengths = [5 + number for number in range(40)]
    bodies = [chat(f"question {length}", max_tokens=length, stream=True) for length in lengths]
    answers = await asyncio.gather(*(ask(stack.client, CHAT, body) for body in bodies))
    tokens = [
        sum(
            bool(event["choices"] and event["choices"][0]["delta"].get("content"))
            for event in events(each.content)
        )
        for each in answers
    ]
    assert tokens == lengths
    assert len({each.headers["x-served-by"] for each in answers}) == 3
    await eventually(stack.picker.is_idle)


async def test_the_server_is_at_work_when_its_first_token_arrives(stack: Stack) -> None:
    body = completion(max_tokens=100_000, stream=True)  # half a minute of the simulator's time
    headers = {"x-request-id": request_id()}
    async with stack.client.stream("POST", COMPLETIONS, json=body, headers=headers) as response:
        lines = response.aiter_lines()
        assert json.loads((await anext(lines)).removeprefix("data: "))["choices"][0]["text"]
        server = await stack.sim.state(response.headers["x-served-by"])
        assert (server["running"], server["served"]) == (1, server["served"])
        assert await stack.picker.in_flight() == 1
    await eventually(stack.picker.is_idle)
