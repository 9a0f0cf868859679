"""Very many requests at once, some of which their clients give up somewhere: straight, and through Envoy."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack, suppress
from random import Random

from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse

from tests.e2e.asks import COMPLETIONS, completion, http_head
from tests.e2e.streams import Stream, gateway

# Requests under way at a time, and the connections of a gateway that carry them to the picker.
CONCURRENCY = 512
CONNECTIONS = 8

# One request in so many is given up.
GIVEN_UP = 4

# Bytes of a prompt: most requests are small.
SIZES = (100,) * 8 + (20_000, 220_000)

# Envoy's messages have bodies in pieces of about this size.
PIECE = 60_000

DESTINATION = "x-gateway-destination-endpoint"


class GivenUpError(Exception):
    """The client has left."""


async def straight(
    port: int, addresses: Collection[str], requests: int, seed: int, *, tls: bool
) -> Counter[str]:
    """So many ext_proc streams to a picker; how many were `answered` and how many `given up`."""
    async with AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(gateway(port, tls=tls)) for _ in range(CONNECTIONS)]

        async def one(number: int, rng: Random) -> None:
            stream = gateways[number % CONNECTIONS].open()
            await _dialogue(stream, addresses, rng)

        return await _all(one, requests, seed)


async def through_envoy(port: int, addresses: Collection[str], requests: int, seed: int) -> Counter[str]:
    """So many HTTP requests to a gateway in front of simulated servers."""

    async def one(number: int, rng: Random) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await _exchange(reader, writer, addresses, rng)
        except GivenUpError:
            connected: socket.socket = writer.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            raise
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    return await _all(one, requests, seed)


async def _all(one: Callable[[int, Random], Awaitable[None]], requests: int, seed: int) -> Counter[str]:
    """Runs every request, CONCURRENCY at a time; the first that is answered wrongly ends it."""
    rng = Random(seed)
    numbers = iter(range(requests))
    tally: Counter[str] = Counter()

    async def work() -> None:
        for number in numbers:
            try:
                await one(number, rng)
                tally["answered"] += 1
            except GivenUpError:
                tally["given up"] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(CONCURRENCY):
            group.create_task(work(), name=f"soak {number}")
    return tally


def _steps(rng: Random, count: int) -> Iterator[None]:
    """To be moved on before each step of a request: raises at the one where its client leaves, if it does."""
    leaves = rng.randrange(count) if not rng.randrange(GIVEN_UP) else count
    for _ in range(leaves):
        yield
    raise GivenUpError


# Straight ---------------------------------------------------------------------------------------------------


def request(size: int) -> list[ProcessingRequest]:
    """A whole request with a prompt of `size` bytes."""
    headers = _headers("request_headers", {":method": "POST", ":path": COMPLETIONS})
    return [headers, *_pieces("request_body", json.dumps(completion("p" * size)).encode())]


async def _dialogue(stream: Stream, addresses: Collection[str], rng: Random) -> None:
    """One request and its answer, as a gateway tells of them."""
    steps = _steps(rng, 6)
    body = json.dumps(completion("p" * rng.choice(SIZES), stream=False)).encode()
    try:
        next(steps)
        await stream.write(_headers("request_headers", {":method": "POST", ":path": COMPLETIONS}))
        next(steps)
        pieces = list(_pieces("request_body", body))
        await stream.write(*pieces[:-1])
        next(steps)
        await stream.write(pieces[-1])
        destination = _destination(await stream.read())
        assert destination in addresses, destination
        assert await _read_body(stream, "request_body") == body
        next(steps)
        await stream.write(_headers("response_headers", {":status": "200"}))
        assert (await stream.read()).WhichOneof("response") == "response_headers"
        next(steps)
        answer = json.dumps({"model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
        await stream.write(*_pieces("response_body", answer))
        assert await _read_body(stream, "response_body") == answer
        next(steps)
        assert await stream.end() == "0"
    except GivenUpError:
        stream.reset()
        raise


def _headers(phase: str, headers: dict[str, str]) -> ProcessingRequest:
    fields = [{"key": key, "raw_value": value.encode()} for key, value in headers.items()]
    return ProcessingRequest(**{phase: {"headers": {"headers": fields}}})


def _pieces(phase: str, body: bytes) -> Iterator[ProcessingRequest]:
    for start in range(0, len(body), PIECE):
        part = {"body": body[start : start + PIECE], "end_of_stream": start + PIECE >= len(body)}
        yield ProcessingRequest(**{phase: part})


def _destination(answer: ProcessingResponse) -> str:
    mutation = answer.request_headers.response.header_mutation
    [value] = [each.header.raw_value for each in mutation.set_headers if each.header.key == DESTINATION]
    return value.decode()


async def _read_body(stream: Stream, phase: str) -> bytes:
    """A body that the picker hands on in pieces."""
    body = b""
    while True:
        part = getattr(await stream.read(), phase).response.body_mutation.streamed_response
        body += part.body
        if part.end_of_stream:
            return body


# Through Envoy ----------------------------------------------------------------------------------------------


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, addresses: Collection[str], rng: Random
) -> None:
    """One request and its answer on a connection of its own."""
    steps = _steps(rng, 4)
    wanted = completion("p" * rng.choice(SIZES), stream=rng.random() < 0.5)
    body = json.dumps(wanted).encode()
    lines = [
        f"POST {COMPLETIONS} HTTP/1.1",
        "host: here",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    writer.write(http_head(lines))
    next(steps)
    writer.write(body[: len(body) // 2])
    await writer.drain()
    next(steps)
    writer.write(body[len(body) // 2 :])
    await writer.drain()
    next(steps)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert head.startswith("HTTP/1.1 200 "), head
    assert any(f"x-served-by: {address}\r\n" in head for address in addresses), head
    next(steps)
    answer = await reader.read()
    assert (b"data: [DONE]" in answer) == wanted["stream"], answer
    assert wanted["stream"] or b'"completion_tokens":4' in answer.replace(b" ", b""), answer
