"""What the picker believes of vLLM's load is what vLLM says, and load spreads by it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.e2e.process import eventually
from tests.e2e.stack import Gateway, Picker, Pool
from tests.vllm.server import ADAPTERS, BASE_MODEL, BATCH, BLOCK, Load
from tests.vllm.stack import BY_KNOWN_LOAD, PATIENT, Stack, complete, exactly, openai_client

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUESTS = 24

# Tokens of an answer that nobody waits for: seconds of a server's time, half a minute's on a busy machine.
LONG = 1500

# No page has it: a picker that is told to read the queue there knows it from load headers alone.
NOWHERE = "--total-queued-requests-metric=no_such_metric"


async def test_an_idle_server_is_known(stack: Stack) -> None:
    for server in stack.servers:
        async with openai_client(server.port) as client:
            # Before a server's first request for an adapter its page does not say how many it can hold.
            await complete(client, "Who is there?", ADAPTERS[0])

    endpoints: dict[str, dict[str, Any]] = {}

    async def is_known() -> bool:
        endpoints.update(await stack.picker.endpoints())
        idle = (len(ADAPTERS), 0, 0, 0)
        keys = ("max_lora", "running", "waiting", "kv_usage")
        return all(tuple(each[key] for key in keys) == idle for each in endpoints.values())

    await eventually(is_known, "the picker's knowing how many adapters a server holds, and that it is idle")
    for server in stack.servers:
        seen = endpoints[server.address]
        cache = (await server.page()).labels("vllm:cache_config_info")
        assert int(cache["block_size"]) == BLOCK
        assert seen["cache_tokens"] == int(cache["num_gpu_blocks"]) * BLOCK
        assert seen["models"] == [BASE_MODEL]
        assert seen["adapters"]["listed"] == sorted(ADAPTERS)
        assert seen["fresh"]


@asynccontextmanager
async def readers(client: AsyncOpenAI, count: int) -> AsyncIterator[None]:
    """So many clients read long answers inside, one after the other, and go away in the middle of them.

    They ask again, so that the servers stay full for as long as a look at them takes.
    """

    async def read(number: int) -> None:
        while True:
            stream = await client.completions.create(
                model=BASE_MODEL, prompt=f"{number} kilometres to go", stream=True, **exactly(LONG)
            )
            async for _ in stream:
                pass

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(number), name=f"reader {number}") for number in range(count)]
        yield
        for task in tasks:
            task.cancel()


def full(loads: Mapping[str, Load]) -> bool:
    """Whether each batch is full and all `REQUESTS` are there."""
    there = sum(load.running + load.waiting for load in loads.values())
    return there == REQUESTS and all(load.running == BATCH for load in loads.values())


async def test_the_picker_sees_full_servers_as_they_are(stack: Stack, found: list[str]) -> None:
    moments: list[dict[str, Load]] = []

    async def seen_as_said() -> bool:
        """The servers are full, and the picker says what they said before and after."""
        before, seen, after = await stack.loads(), await stack.seen_loads(), await stack.loads()
        if full(before) and all(_between(before[each], seen[each], after[each]) for each in before):
            moments.append(seen)
        return bool(moments)

    async with readers(stack.client, REQUESTS):
        await eventually(seen_as_said, "a moment in which the picker says what full servers say")
    found.append(f"{REQUESTS} requests, seen as said: {moments[0]}")

    async def calm() -> bool:
        return (
            await stack.loads() == await stack.seen_loads() == dict.fromkeys(stack.addresses, Load(0, 0, 0))
        )

    await eventually(calm, "the picker's word that all is quiet")


def _between(before: Load, seen: Load, after: Load) -> bool:
    """Whether the queue was seen as it stayed, and the cache in use as it grew."""
    queues = {(load.running, load.waiting) for load in (before, seen, after)}
    return len(queues) == 1 and 0 < seen.kv_usage <= after.kv_usage


async def test_a_burst_spreads_evenly(stack: Stack, found: list[str]) -> None:
    before = await _made(stack)

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(complete(stack.client, f"{number} things to see in Lisbon", tokens=40))
            for number in range(REQUESTS)
        ]
    answers = [task.result() for task in tasks]

    assert {answer.completion_tokens for answer in answers} == {40}
    spread = Counter(answer.server for answer in answers)
    assert spread == dict.fromkeys(stack.addresses, REQUESTS // 2)
    assert await _made(stack) - before == REQUESTS * 40
    found.append(f"{REQUESTS} requests at once spread {sorted(spread.values())}")


async def test_load_is_taken_from_answers_and_out_of_them(stack: Stack, tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool", stack.addresses)
    async with (
        Picker(tmp_path, pool, PATIENT, BY_KNOWN_LOAD, NOWHERE) as picker,
        Gateway(tmp_path, picker, pool) as gateway,
        openai_client(gateway.port) as client,
    ):

        async def queues() -> dict[str, float | None]:
            return {address: each["waiting"] for address, each in (await picker.endpoints()).items()}

        async def each_has_a_queue() -> bool:
            return all((await queues()).values())

        assert await queues() == dict.fromkeys(stack.addresses)
        async with asyncio.TaskGroup() as group:
            for number in range(2 * BATCH):
                group.create_task(complete(client, f"{number} bridges", tokens=500))
            # The readers wait behind these, and vLLM tells no load with an answer that it streams: what the
            # answers above tell stays.
            async with readers(client, REQUESTS - 2 * BATCH):
                await eventually(each_has_a_queue, "a queue on each server, told by answers")

        raw = await client.completions.with_raw_response.create(
            model=BASE_MODEL, prompt="The last bridge", **exactly(1)
        )
        assert "endpoint-load-metrics" not in raw.headers
        asked = await client.completions.with_raw_response.create(
            model=BASE_MODEL,
            prompt="The very last bridge",
            extra_headers={"endpoint-load-metrics-format": "TEXT"},
            **exactly(1),
        )
        assert asked.headers["endpoint-load-metrics"].startswith("TEXT named_metrics.")


async def test_clients_that_go_away_free_the_servers(stack: Stack, found: list[str]) -> None:
    async def is_full() -> bool:
        return full(await stack.loads()) and await stack.picker.in_flight() == REQUESTS

    async with readers(stack.client, REQUESTS):
        await eventually(is_full, "both servers' being full, and the picker's knowing of each request")
        before = await _made(stack)
    await eventually(stack.is_idle, "idleness with no client left")

    made = await _made(stack) - before
    in_the_queue = (REQUESTS - 2 * BATCH) * LONG
    assert made < in_the_queue  # so many if those that waited had run to their end
    found.append(f"{REQUESTS} clients left: {made:g} tokens were made of at least {in_the_queue}")


async def _made(stack: Stack) -> float:
    """Tokens that the servers have generated."""
    return sum([(await server.page()).value("vllm:generation_tokens_total") for server in stack.servers])
