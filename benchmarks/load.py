"""A closed loop of clients: each sends its next request when it has its answer. Prints one line of JSON.

    python -m benchmarks.load PORT --size BYTES --seconds S [--concurrency N]

An answer counts only if it is 200 with the backend's completion; all others are `wrong`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
import uvloop

from benchmarks.backend import COMPLETION

# Different prompts, so that no part of the path lives off a single one; their first words are shared, as a
# system prompt is.
PROMPTS = 32
WORDS = (
    "fog",
    "bridge",
    "harbour",
    "critic",
    "sourdough",
    "gradient",
    "cable",
    "spectrum",
    "of",
    "the",
    "and",
)
SYSTEM = "Write as if you were a critic. " * 3


@dataclass(slots=True)
class Run:
    """What all clients of one run have seen."""

    until: float
    latencies: list[float] = field(default_factory=list)  # seconds
    wrong: int = 0


def chat_request(size: int, rng: random.Random) -> bytes:
    """A chat request with a body of `size` bytes."""
    shape = {
        "model": "base",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ""}],
        "max_tokens": 25,
        "temperature": 0,
    }
    missing = size - len(json.dumps(shape))
    words: list[str] = []
    length = 0
    while length < missing:
        words.append(rng.choice(WORDS))
        length += len(words[-1]) + 1
    shape["messages"][1]["content"] = " ".join(words)[:missing]  # type: ignore[index]
    body = json.dumps(shape).encode()
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.example\r\nuser-agent: benchmark\r\n"
        b"accept: */*\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    return head + body


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: Run, requests: list[bytes], rng: random.Random) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._run = run
        self._requests = requests
        self._rng = rng
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._body = b""
        self._sent_at = time.perf_counter()
        self._transport.write(self._rng.choice(self._requests))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        if self._parser.get_status_code() == 200 and self._body == COMPLETION:
            self._run.latencies.append(now - self._sent_at)
        else:
            self._run.wrong += 1
        if now < self._run.until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if time.perf_counter() < self._run.until:
            self._run.wrong += 1
        self.done.set_result(None)


async def drive(port: int, size: int, seconds: float, concurrency: int) -> dict[str, Any]:
    rng = random.Random(size)
    requests = [chat_request(size, rng) for _ in range(PROMPTS)]
    started = time.perf_counter()
    run = Run(until=started + seconds)
    loop = asyncio.get_running_loop()
    clients = [Client(run, requests, rng) for _ in range(concurrency)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(client.done for client in clients))
    return {
        "latencies_us": [round(latency * 1e6) for latency in run.latencies],
        "wrong": run.wrong,
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--concurrency", type=int, default=32)
    args = parser.parse_args()
    print(json.dumps(uvloop.run(drive(args.port, args.size, args.seconds, args.concurrency))))


if __name__ == "__main__":
    main()
