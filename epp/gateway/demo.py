"""`epp up --demo`: sends the requests through the gateway and asks the picker what it had decided."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import aiohttp

from epp.gateway.demo_report import Outcome, render_report
from epp.gateway.demo_requests import AT_A_TIME, DemoRequest, Models, demo_requests, read_models
from epp.gateway.processes import StartError

# Seconds for one answer: a slow server on a CPU makes a hundred tokens in less.
_TIMEOUT = aiohttp.ClientTimeout(total=120)


async def ask_models(http: aiohttp.ClientSession, gateway: str) -> Models | None:
    """The models behind the gateway; None if it cannot say."""
    try:
        async with http.get(f"{gateway}/v1/models", timeout=_TIMEOUT) as answer:
            return read_models(await answer.json()) if answer.status == 200 else None
    except (TimeoutError, aiohttp.ClientError, ValueError, KeyError, AttributeError):
        return None


async def run_demo(http: aiohttp.ClientSession, gateway: str, admin: str, say: Callable[[str], None]) -> bool:
    """Sends everything, says how it went, and whether all of it went as the picker chose.

    `gateway` and `admin` are URLs without a path: Envoy's and the picker's.
    """
    models = await ask_models(http, gateway)
    if models is None:
        raise StartError(f"{gateway}/v1/models names no model to ask for")
    answers = await _send_all(http, gateway, demo_requests(models))
    decisions = await _decisions(http, admin)
    outcomes = [Outcome(request, *answer, decisions.get(request.id)) for request, answer in answers.items()]
    for line in render_report(outcomes):
        say(line)
    return not any(outcome.failure for outcome in outcomes)


_Answer = tuple[int, str, str]  # status, served by, problem


async def _send_all(
    http: aiohttp.ClientSession, gateway: str, requests: Sequence[DemoRequest]
) -> Mapping[DemoRequest, _Answer]:
    places = asyncio.Semaphore(AT_A_TIME)

    async def send(request: DemoRequest) -> _Answer:
        async with places:
            return await _send(http, gateway, request)

    async with asyncio.TaskGroup() as group:
        tasks = {request: group.create_task(send(request), name=request.id) for request in requests}
    return {request: task.result() for request, task in tasks.items()}


async def _send(http: aiohttp.ClientSession, gateway: str, request: DemoRequest) -> _Answer:
    try:
        async with http.post(
            gateway + request.path, json=request.body, headers=request.headers, timeout=_TIMEOUT
        ) as answer:
            body = await answer.read()
            served_by = answer.headers.get("x-served-by", "")
            problem = "" if answer.status != 200 or _is_complete(body, request.stream) else "a broken answer"
            return answer.status, served_by, problem
    except (TimeoutError, aiohttp.ClientError) as error:
        return 0, "", f"no answer: {error or type(error).__name__}"


def _is_complete(body: bytes, stream: bool) -> bool:
    if stream:
        return body.rstrip().endswith(b"data: [DONE]")
    try:
        return bool(json.loads(body)["choices"])
    except (ValueError, KeyError, TypeError):
        return False


async def _decisions(http: aiohttp.ClientSession, admin: str) -> dict[str, Mapping[str, Any]]:
    async with http.get(f"{admin}/debug/decisions", timeout=_TIMEOUT) as answer:
        records: Iterable[Mapping[str, Any]] = await answer.json()
        return {record["request_id"]: record for record in records}
