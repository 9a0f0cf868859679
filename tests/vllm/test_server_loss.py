"""A server is killed under load: what it served is lost and no more, and back again it takes its part."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import openai
import pytest

from tests.e2e.process import eventually
from tests.e2e.stack import request_id
from tests.vllm.stack import Answer, Stack, complete

pytestmark = pytest.mark.asyncio(loop_scope="session")

REQUESTS = 60
AT_A_TIME = 12
KILLED_AFTER = 15


@dataclass(slots=True)
class Fate:
    """What became of a request."""

    id: str = field(default_factory=request_id)
    answer: Answer | None = None
    error: openai.APIError | None = None

    @property
    def ended(self) -> bool:
        return self.answer is not None or self.error is not None


async def test_a_killed_server_takes_with_it_only_what_it_served(stack: Stack, found: list[str]) -> None:
    victim, survivor = stack.servers
    places = asyncio.Semaphore(AT_A_TIME)
    sent: list[Fate] = []

    async def ask(number: int) -> None:
        async with places:
            fate = Fate()
            sent.append(fate)
            try:
                fate.answer = await complete(stack.client, f"{number} days of rain", tokens=60, id=fate.id)
            except openai.APIError as error:
                fate.error = error

    async def lets_go() -> bool:
        return not await stack.gateway.connections(victim.address)

    async with asyncio.TaskGroup() as group:
        for number in range(REQUESTS):
            group.create_task(ask(number))
        await eventually(lambda: sum(fate.ended for fate in sent) >= KILLED_AFTER, "the first answers")
        ended = {fate.id for fate in sent if fate.ended}
        await victim.kill()
        await eventually(lets_go, "Envoy's knowing that the connections are gone")
        under_way = {fate.id for fate in sent} - ended  # since it died: a request cannot be lost any later

    picked = {fate.id: await stack.picked(fate.id) for fate in sent}
    lost = {fate.id: str(fate.error) for fate in sent if fate.error is not None}
    served = {id for id in under_way if picked[id] == victim.address}
    assert len(sent) == REQUESTS
    assert lost
    assert lost.keys() <= served, {id: (picked[id], error) for id, error in lost.items() if id not in served}
    assert all(
        fate.error.status_code == 503 for fate in sent if isinstance(fate.error, openai.APIStatusError)
    )
    found.append(
        f"1 of 2 servers killed under {AT_A_TIME} requests at a time: {len(lost)} of {REQUESTS} lost,"
        f" {len(served)} were there; served by {Counter(f.answer.server for f in sent if f.answer)},"
        f" picked {Counter(picked.values())}"
    )

    async def is_back() -> bool:
        fresh: bool = (await stack.picker.endpoints())[victim.address]["fresh"]
        return fresh

    async def is_out() -> bool:
        return not await is_back()

    await eventually(is_out, "the picker's knowing that a server is gone")
    answers = [await complete(stack.client, f"{number} days of sun") for number in range(4)]
    assert {answer.server for answer in answers} == {survivor.address}

    await victim.start()
    await eventually(is_back, "the picker's knowing that the server is back")
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(complete(stack.client, f"{number} days of snow", tokens=60))
            for number in range(AT_A_TIME)
        ]
    assert {task.result().server for task in tasks} == stack.addresses
