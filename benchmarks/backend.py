"""A model server that costs next to nothing: every POST is answered at once with one completion.

What a picker sees of it is vLLM's: a metrics page, and the load on an answer whose request asked for it.

    python -m benchmarks.backend PORT [PORT ...]
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import httptools
import uvloop

from benchmarks.scrape import vllm_page

COMPLETION = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"base","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"The fog lifts late over the bay, and with it the price of '
    b'everything; the sourdough is worth both."},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":55,"total_tokens":80,"completion_tokens":25}}'
)


def response(content_type: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = (
        b"HTTP/1.1 200 OK",
        b"content-type: " + content_type,
        b"content-length: %d" % len(body),
        *headers,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


LOAD = b"TEXT named_metrics.num_requests_waiting=0.0, named_metrics.kv_cache_usage_perc=0.1"
ANSWER = response(b"application/json", COMPLETION)
ANSWER_WITH_LOAD = response(b"application/json", COMPLETION, b"endpoint-load-metrics: " + LOAD)
METRICS = response(b"text/plain; version=0.0.4", vllm_page())
OTHER = response(b"application/json", b"{}")


class Server(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._answer = OTHER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        if url == b"/metrics":
            self._answer = METRICS
        else:
            self._answer = ANSWER if self._parser.get_method() == b"POST" else OTHER

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"endpoint-load-metrics-format":
            self._answer = ANSWER_WITH_LOAD

    def on_message_complete(self) -> None:
        self._transport.write(self._answer)


async def main(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(Server, "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main([int(port) for port in sys.argv[1:]]))
