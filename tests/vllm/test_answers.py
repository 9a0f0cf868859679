"""What vLLM answers reaches the `openai` client as vLLM said it, from the server that was picked."""

from __future__ import annotations

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.process import eventually
from tests.e2e.stack import Picker, client_of, request_id
from tests.vllm.server import ADAPTERS, BASE_MODEL
from tests.vllm.stack import Answer, Stack, complete, exactly, openai_client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "Write as if you were a critic: San Francisco"
MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are a critic."},
    {"role": "user", "content": "Where should we eat?"},
]


async def from_everyone(stack: Stack, model: str) -> list[Answer]:
    """What each server answers when it is asked without Envoy and picker."""
    answers = []
    for server in stack.servers:
        async with openai_client(server.port) as client:
            answers.append(await complete(client, PROMPT, model, 24))
    return answers


@pytest.mark.parametrize("model", [BASE_MODEL, *ADAPTERS])
async def test_a_completion_is_what_vllm_says(stack: Stack, model: str) -> None:
    one, other = await from_everyone(stack, model)
    assert one.text == other.text, "equal servers give equal answers"

    answer = await complete(stack.client, PROMPT, model, 24)

    assert (answer.text, answer.model) == (one.text, model)
    assert (answer.prompt_tokens, answer.completion_tokens) == (len(PROMPT) + 1, 24)
    assert answer.server == await stack.picked(answer.id)


async def test_each_adapter_answers_otherwise(stack: Stack) -> None:
    answers = [await complete(stack.client, PROMPT, model, 24) for model in (BASE_MODEL, *ADAPTERS)]
    assert len({answer.text for answer in answers}) == 3


@pytest.mark.parametrize("model", [BASE_MODEL, ADAPTERS[0]])
async def test_a_chat_is_answered(stack: Stack, model: str) -> None:
    answer = await stack.client.chat.completions.create(model=model, messages=MESSAGES, **exactly(24))
    async with openai_client(stack.servers[0].port) as client:
        direct = await client.chat.completions.create(model=model, messages=MESSAGES, **exactly(24))
    assert answer.choices == direct.choices
    assert answer.usage == direct.usage


@pytest.mark.parametrize("model", [BASE_MODEL, ADAPTERS[1]])
async def test_a_completion_is_streamed(stack: Stack, model: str) -> None:
    whole = await complete(stack.client, PROMPT, model, 24)

    stream = await stack.client.completions.create(
        model=model, prompt=PROMPT, stream=True, stream_options={"include_usage": True}, **exactly(24)
    )
    *chunks, last = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.text
    assert all(chunk.usage is None for chunk in chunks)
    assert (last.choices, last.usage.prompt_tokens, last.usage.completion_tokens) == ([], len(PROMPT) + 1, 24)


@pytest.mark.parametrize("model", [BASE_MODEL, ADAPTERS[1]])
async def test_a_chat_is_streamed(stack: Stack, model: str) -> None:
    whole = await stack.client.chat.completions.create(model=model, messages=MESSAGES, **exactly(24))

    stream = await stack.client.chat.completions.create(
        model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **exactly(24)
    )
    *chunks, last = [chunk async for chunk in stream]

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert (last.choices, last.usage) == ([], whole.usage)


async def test_the_first_token_comes_while_the_others_are_made(stack: Stack) -> None:
    stream = await stack.client.completions.create(
        model=BASE_MODEL, prompt=PROMPT, stream=True, **exactly(1000)
    )
    await anext(aiter(stream))
    assert sum(load.running for load in (await stack.loads()).values()) == 1
    assert await stack.picker.in_flight() == 1
    await stream.close()


async def test_models_are_listed_as_vllm_lists_them(stack: Stack) -> None:
    listed = [model.id async for model in stack.client.models.list()]
    assert listed == [BASE_MODEL, *ADAPTERS]


async def test_a_refusal_of_vllm_passes_through(stack: Stack) -> None:
    bodies = {
        404: {"model": "nobody", "prompt": PROMPT},
        400: {"model": BASE_MODEL, "prompt": PROMPT, "max_tokens": -1},
    }
    async with client_of(stack.servers[0].port) as server:
        for status, body in bodies.items():
            answer = await stack.gateway.client.post("/v1/completions", json=body)
            direct = await server.post("/v1/completions", json=body)
            assert (answer.status_code, answer.json()) == (status, direct.json())

    with pytest.raises(openai.NotFoundError, match="The model `nobody` does not exist"):
        await stack.client.completions.create(model="nobody", prompt=PROMPT)


async def counted(picker: Picker) -> tuple[float, float]:
    """Tokens that the picker has read off answers: prompts', completions'."""
    names = ("inference_objective_input_tokens_sum", "inference_objective_output_tokens_sum")
    prompt, completion = [await picker.metric(name) for name in names]
    return prompt, completion


async def test_the_picker_counts_the_tokens_that_vllm_counts(stack: Stack) -> None:
    seen = await counted(stack.picker)
    said = [await server.page() for server in stack.servers]

    await complete(stack.client, PROMPT, BASE_MODEL, 24)
    await stack.client.chat.completions.create(model=ADAPTERS[0], messages=MESSAGES, **exactly(16))
    stream = await stack.client.completions.create(
        model=ADAPTERS[1], prompt=PROMPT, stream=True, stream_options={"include_usage": True}, **exactly(8)
    )
    assert [chunk async for chunk in stream]
    await eventually(stack.is_idle)

    counters = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
    pages = [await server.page() for server in stack.servers]
    now = await counted(stack.picker)
    grown = [
        sum(page.value(name) for page in pages) - sum(page.value(name) for page in said) for name in counters
    ]
    assert [after - before for after, before in zip(now, seen, strict=True)] == grown
    assert grown[1] == 24 + 16 + 8


async def test_a_decision_says_what_was_asked(stack: Stack) -> None:
    id = request_id()
    await complete(stack.client, PROMPT, ADAPTERS[0], 1, id)
    decision = await stack.picker.decision(id)
    assert (decision["model"], decision["api"], decision["stream"]) == (ADAPTERS[0], "completions", False)
    assert {each["address"] for each in decision["candidates"]} == stack.addresses
