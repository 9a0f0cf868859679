"""Requests that tests send, and what is looked for in their answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.e2e.process import PATIENCE
from tests.e2e.stack import BASE_MODEL, Picker, request_id

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"


def completion(prompt: str = "Write as if you were a critic: San Francisco", **more: Any) -> dict[str, Any]:
    """A body for COMPLETIONS; a few tokens of the base model unless `more` says otherwise."""
    return {"model": BASE_MODEL, "prompt": prompt, "max_tokens": 4, **more}


def chat(text: str = "Where should we eat?", **more: Any) -> dict[str, Any]:
    """A body for CHAT."""
    return {"model": BASE_MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 4, **more}


def events(body: bytes) -> list[dict[str, Any]]:
    """The JSON of a complete answer of server-sent events, which has to end with [DONE]."""
    *data, done = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
    assert done == b"[DONE]"
    return [json.loads(each) for each in data]


async def ask(
    client: httpx.AsyncClient, path: str, body: object = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """POSTs `body` as JSON, or GETs where there is none, with an x-request-id of its own."""
    headers = {"x-request-id": request_id(), **(headers or {})}
    if body is None:
        return await client.get(path, headers=headers)
    return await client.post(path, json=body, headers=headers)


async def picked_for(picker: Picker, response: httpx.Response) -> str:
    """The endpoint that the picker chose for the request that `response` answers."""
    decision = await picker.decision(response.request.headers["x-request-id"])
    picked: str = decision["picked"][0]
    return picked


def http_head(lines: Iterable[str]) -> bytes:
    """A request line and headers as HTTP/1.1 sends them."""
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare TCP connection to a local port, for what no HTTP client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.close()
