"""Adapters that come and go while vLLM runs are seen, and requests for them go where they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest

from tests.e2e.process import eventually
from tests.vllm.server import ADAPTERS, BASE_MODEL, LATE_ADAPTER, Vllm
from tests.vllm.stack import Stack, complete, openai_client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "Who watches the harbour?"


async def listing(stack: Stack, adapter: str) -> set[str]:
    """The servers of which the picker knows that they can serve `adapter`."""
    endpoints = await stack.picker.endpoints()
    return {address for address, each in endpoints.items() if adapter in each["adapters"]["listed"]}


async def listed_on(stack: Stack, *servers: Vllm) -> None:
    """Waits until the picker knows the late adapter on these servers and no others."""
    wanted = {server.address for server in servers}

    async def known() -> bool:
        return await listing(stack, LATE_ADAPTER) == wanted

    await eventually(known, f"the picker's knowing {LATE_ADAPTER} on {wanted}")


@asynccontextmanager
async def loaded(server: Vllm) -> AsyncIterator[None]:
    """The server has the late adapter inside."""
    await server.load_adapter(LATE_ADAPTER)
    try:
        yield
    finally:
        await server.unload_adapter(LATE_ADAPTER)


async def test_an_adapter_loaded_at_run_time_is_found_and_used(stack: Stack) -> None:
    one, other = stack.servers
    with pytest.raises(openai.NotFoundError, match=LATE_ADAPTER):
        await complete(stack.client, "Too early", LATE_ADAPTER)

    async with loaded(one):
        await listed_on(stack, one)
        alone = [await complete(stack.client, f"{number}. {PROMPT}", LATE_ADAPTER) for number in range(6)]
        assert {answer.server for answer in alone} == {one.address}

        async with loaded(other), openai_client(other.port) as client:
            await listed_on(stack, one, other)
            said = (await complete(client, PROMPT, LATE_ADAPTER, 24)).text
            assert said != (await complete(client, PROMPT, BASE_MODEL, 24)).text
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(complete(stack.client, f"{number}, then: {PROMPT}", LATE_ADAPTER))
                    for number in range(12)
                ]
            assert {task.result().server for task in tasks} == stack.addresses
            assert (await complete(stack.client, PROMPT, LATE_ADAPTER, 24)).text == said

    await listed_on(stack)
    with pytest.raises(openai.NotFoundError, match=LATE_ADAPTER):
        await complete(stack.client, "Too late", LATE_ADAPTER)


async def test_the_picker_books_adapters_that_vllm_does_not_name(stack: Stack) -> None:
    """Requests that wait are not in vLLM's `lora_requests_info`."""

    async def booked() -> bool:
        endpoints = (await stack.picker.endpoints()).values()
        in_flight = [each["adapters"]["in_flight"] for each in endpoints]
        return {name: sum(each.get(name, 0) for each in in_flight) for name in ADAPTERS} == expected

    expected = dict.fromkeys(ADAPTERS, 10)
    async with asyncio.TaskGroup() as group:
        for adapter in ADAPTERS:
            for number in range(10):
                group.create_task(complete(stack.client, f"{number}. {PROMPT}", adapter, 60))
        await eventually(booked, "20 requests in the picker's book")
    expected = dict.fromkeys(ADAPTERS, 0)
    await eventually(booked, "an empty book")
