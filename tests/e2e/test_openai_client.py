"""The openai client, which knows nothing of a gateway, is served through one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.process import PATIENCE, eventually
from tests.e2e.stack import ADAPTERS, BASE_MODEL, Gateway, Stack, request_id, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = (BASE_MODEL, *ADAPTERS)
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Where should we eat?"}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, transport: str) -> AsyncIterator[Stack]:
    """With an alias for one of the adapters."""
    rewrites = [{"name": "alias", "models": ["critic"], "targets": [{"model": "food-review"}]}]
    folder = tmp_path_factory.mktemp("openai")
    more = {"rewrites": rewrites, "transport": transport}
    async with running_stack(folder, sim=["--time-scale=50"], **more) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def client(stack: Stack) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(stack.gateway) as client:
        yield client
    await eventually(stack.picker.is_idle)


def client_of(gateway: Gateway) -> openai.AsyncOpenAI:
    url = f"http://127.0.0.1:{gateway.port}/v1"
    return openai.AsyncOpenAI(base_url=url, api_key="none", timeout=PATIENCE, max_retries=0)


@pytest.mark.parametrize("model", [*MODELS, "critic"])
async def test_chat(stack: Stack, client: openai.AsyncOpenAI, model: str) -> None:
    headers = {"x-request-id": request_id()}
    raw = await client.chat.completions.with_raw_response.create(
        model=model, messages=QUESTION, max_tokens=5, extra_headers=headers
    )
    answer = raw.parse()
    assert answer.model == model
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    assert answer.choices[0].finish_reason == "length"
    assert raw.headers["x-served-by"] == (await stack.picker.decision(headers["x-request-id"]))["picked"][0]


@pytest.mark.parametrize("model", [*MODELS, "critic"])
async def test_streamed_chat(client: openai.AsyncOpenAI, model: str) -> None:
    stream = await client.chat.completions.create(
        model=model, messages=QUESTION, max_tokens=5, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = [chunk async for chunk in stream]
    assert {chunk.model for chunk in (*chunks, last)} == {model}
    assert sum(bool(chunk.choices[0].delta.content) for chunk in chunks) == 5
    assert last.usage is not None
    assert last.usage.completion_tokens == 5


async def test_completions(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model=BASE_MODEL, prompt=["one", "two"], max_tokens=3)
    assert [choice.index for choice in answer.choices] == [0, 1]
    by_ids = await client.completions.create(model=BASE_MODEL, prompt=[1, 2, 3], max_tokens=3)
    assert by_ids.usage is not None
    assert by_ids.usage.prompt_tokens == 3
    stream = await client.completions.create(model=BASE_MODEL, prompt="three", max_tokens=3, stream=True)
    assert len([chunk async for chunk in stream]) == 3


async def test_responses_and_embeddings(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(model=BASE_MODEL, input="hi", max_output_tokens=16)
    assert answer.usage is not None
    assert answer.usage.output_tokens == 16
    stream = await client.responses.create(model=BASE_MODEL, input="hi", max_output_tokens=16, stream=True)
    assert [event.type async for event in stream][-1] == "response.completed"
    vectors = await client.embeddings.create(model=BASE_MODEL, input=["one", "two"])
    assert len(vectors.data) == 2


async def test_models(client: openai.AsyncOpenAI) -> None:
    assert {model.id for model in (await client.models.list()).data} == set(MODELS)


async def test_errors_are_the_clients_own_exceptions(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(model=BASE_MODEL, messages=[])
    assert refused.value.response.headers["x-inference-error-reason"] == "bad_shape"
    assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="nobody-has-it", messages=QUESTION)


async def test_a_client_in_threads(stack: Stack) -> None:
    """The synchronous client, as most programs use it."""
    url = f"http://127.0.0.1:{stack.gateway.port}/v1"

    def ask() -> list[str]:
        with openai.OpenAI(base_url=url, api_key="none", timeout=PATIENCE, max_retries=0) as client:
            whole = client.chat.completions.create(model=BASE_MODEL, messages=QUESTION, max_tokens=3)
            stream = client.chat.completions.create(
                model=BASE_MODEL, messages=QUESTION, max_tokens=3, stream=True
            )
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            return [whole.choices[0].message.content or "", text]

    for whole, streamed in await asyncio.gather(*(asyncio.to_thread(ask) for _ in range(8))):
        assert whole == streamed != ""
    await eventually(stack.picker.is_idle)


async def test_leaving_a_stream_early(stack: Stack, client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=BASE_MODEL, messages=QUESTION, max_tokens=100_000, stream=True
    )
    await anext(aiter(stream))
    await stream.close()
    await eventually(stack.picker.is_idle)
