"""Asks a gateway for a workload's completions, each request at its time, and notes when its answer came."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiohttp
import msgspec

from benchmarks.validity.comparison import Answered
from epp.simulate.workload import Arrival, text

# Seconds before the first arrival, so that the client is ready for it.
_START = 0.5

_JSON = {"content-type": "application/json"}


async def ask_all(port: int, model: str, arrivals: Iterable[Arrival], time_scale: float) -> list[Answered]:
    """The answers in the order of the arrivals; times in seconds of the arrivals, `time_scale` to one real.

    Arrivals do not wait for answers. ClientResponseError for an answer that is not 200.
    """
    start = asyncio.get_running_loop().time() + _START
    async with (
        aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=0), raise_for_status=True
        ) as session,
        asyncio.TaskGroup() as group,
    ):
        tasks = [
            group.create_task(
                _ask(session, request_body(model, arrival), start + arrival.at / time_scale),
                name=arrival.answer,
            )
            for arrival in arrivals
        ]
    real = [task.result() for task in tasks]
    return [Answered(each.server, each.ttft * time_scale, each.latency * time_scale) for each in real]


def request_body(model: str, arrival: Arrival) -> bytes:
    """A streamed completion of the arrival's prompt and so many tokens."""
    return msgspec.json.encode(
        {
            "model": model,
            "prompt": text(arrival.prompt).decode("ascii"),
            "max_tokens": arrival.output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
        }
    )


async def _ask(session: aiohttp.ClientSession, body: bytes, at: float) -> Answered:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(at - loop.time())
    asked = first = loop.time()
    async with session.post("/v1/completions", data=body, headers=_JSON) as response:
        async for _ in response.content.iter_any():
            if first == asked:
                first = loop.time()
        return Answered(response.headers["x-served-by"], first - asked, loop.time() - asked)
