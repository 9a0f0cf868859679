"""What the picker believes of vLLM's load is what vLLM says, and load spreads by it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.process import eventually
from tests.e2e.stack import Gateway, Picker, Pool
from tests.vllm.server import ADAPTERS, BASE_MODEL, BATCH, BLOCK, Load
from tests.vllm.stack import PATIENT, Stack, complete, exactly, openai_client

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUESTS = 24

# Tokens of an answer that nobody waits for: a server alone needs half a minute for it.
LONG = 1500

# No page has it: a picker that is told to read the queue there knows it from load headers alone.
NOWHERE = "--total-queued-requests-metric=no_such_metric"


async def test_an_idle_server_is_known(stack: Stack) -> None:
    endpoints = await stack.picker.endpoints()
    for server in stack.servers:
        seen = endpoints[server.address]
        cache = (await server.page()).labels("vllm:cache_config_info")
        assert int(cache["block_size"]) == BLOCK
        assert seen["cache_tokens"] == int(cache["num_gpu_blocks"]) * BLOCK
        assert seen["max_lora"] == len(ADAPTERS)
        assert seen["models"] == [BASE_MODEL]
        assert seen["adapters"]["listed"] == sorted(ADAPTERS)
        assert seen["fresh"]
        assert Load(seen["running"], seen["waiting"], seen["kv_usage"]) == Load(0, 0, 0)


@asynccontextmanager
async def readers(stack: Stack, count: int) -> AsyncIterator[None]:
    """So many clients read long answers inside, and go away in the middle of them."""

    async def read(number: int) -> None:
        stream = await stack.client.completions.create(
            model=BASE_MODEL, prompt=f"{number} kilometres to go", stream=True, **exactly(LONG)
        )
        async for _ in stream:
            pass

    tasks = [asyncio.create_task(read(number), name=f"reader {number}") for number in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks), "no answer had ended"


async def test_the_picker_sees_full_servers_as_they_are(stack: Stack, found: list[str]) -> None:
    moments: list[dict[str, Load]] = []

    async def seen_as_said() -> bool:
        """Both batches are full, the rest waits, and the picker says what they said before and after."""
        before, seen, after = await stack.loads(), await stack.seen_loads(), await stack.loads()
        full = all(load.running == BATCH for load in before.values())
        all_there = sum(load.running + load.waiting for load in before.values()) == REQUESTS
        if full and all_there and all(_same_queue(before[each], seen[each], after[each]) for each in before):
            assert all(0 < seen[each].kv_usage <= after[each].kv_usage for each in seen)  # it grows meanwhile
            moments.append(seen)
        return bool(moments)

    async with readers(stack, REQUESTS):
        await eventually(seen_as_said, "a moment in which the picker says what full servers say")
    found.append(f"{REQUESTS} requests, seen as said: {moments[0]}")

    async def calm() -> bool:
        return (
            await stack.loads() == await stack.seen_loads() == dict.fromkeys(stack.addresses, Load(0, 0, 0))
        )

    await eventually(calm, "the picker's word that all is quiet")


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


def _same_queue(*loads: Load) -> bool:
    return len({(load.running, load.waiting) for load in loads}) == 1


async def test_load_is_taken_from_answers_and_out_of_them(stack: Stack, tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool", stack.addresses)
    async with (
        Picker(tmp_path, pool, PATIENT, NOWHERE) as picker,
        Gateway(tmp_path, picker, pool) as gateway,
        openai_client(gateway.port) as client,
    ):
        queued: set[str] = set()

        async def queues() -> dict[str, float | None]:
            return {address: each["waiting"] for address, each in (await picker.endpoints()).items()}

        async def each_had_a_queue() -> bool:
            queued.update(address for address, waiting in (await queues()).items() if waiting)
            return queued == stack.addresses

        assert await queues() == dict.fromkeys(stack.addresses)
        async with asyncio.TaskGroup() as group:
            # Of different lengths, so that the first answers come while others wait.
            for number in range(REQUESTS):
                group.create_task(complete(client, f"{number} bridges", tokens=20 + 10 * number))
            await eventually(each_had_a_queue, "a queue on each server, told by answers")

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
    clients = 3 * BATCH
    before = await _made(stack)

    async def full() -> bool:
        loads = (await stack.loads()).values()
        return [(load.running, load.waiting) for load in loads] == [(BATCH, BATCH / 2)] * 2

    async with readers(stack, clients):
        await eventually(full, "both servers' being full")
        assert await stack.picker.in_flight() == clients
    await eventually(stack.is_idle, "idleness with no client left")

    made = await _made(stack) - before
    assert made < clients * LONG / 2
    found.append(f"{clients} clients left: {made:g} tokens were made of {clients * LONG}")


async def _made(stack: Stack) -> float:
    """Tokens that the servers have generated."""
    return sum([(await server.page()).value("vllm:generation_tokens_total") for server in stack.servers])
