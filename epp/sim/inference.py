"""One inference request over HTTP: from the reply that the engine makes to the response of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import HttpVersion11, web

from epp.sim.answers import Answer, EmbeddingAnswer
from epp.sim.bodies import Ask
from epp.sim.instance import Instance
from epp.sim.metrics_page import load_header
from epp.sim.reply import Reply

Write = Callable[[bytes], None]


async def infer(request: web.Request, instance: Instance, ask: Ask, answer: Answer) -> web.StreamResponse:
    """Serves a checked `ask`; a streamed response is complete but for its end."""
    if ask.stream and not isinstance(answer, EmbeddingAnswer):
        return await _stream(request, instance, ask, answer)
    reply = Reply(ask, answer, write=None)
    await instance.serve(ask, reply)
    return json_response(answer.whole(reply.texts, reply.usage), headers=_load_headers(request, instance))


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON without spaces, as vLLM writes it."""
    body = msgspec.json.encode(data)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


async def _stream(request: web.Request, instance: Instance, ask: Ask, answer: Answer) -> web.StreamResponse:
    # As with vLLM the headers go out before the first token, and tell of the load as the request comes in.
    headers = {"content-type": "text/event-stream; charset=utf-8", **_load_headers(request, instance)}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    write = _writer(request)
    reply = Reply(ask, answer, write)
    await instance.serve(ask, reply)
    write(reply.closing())
    return response


def _load_headers(request: web.Request, instance: Instance) -> dict[str, str]:
    form = request.headers.get("endpoint-load-metrics-format")
    value = load_header(form, instance.gauges) if form else None
    return {"endpoint-load-metrics": value} if value else {}


def _writer(request: web.Request) -> Write:
    """Writes pieces of a body that was begun with StreamResponse.prepare, without a coroutine for each.

    Nothing waits for a slow client: what is buffered for it is bounded by the longest answer.
    """
    transport = request.transport
    chunked = request.version >= HttpVersion11

    def write(data: bytes) -> None:
        if data and transport is not None and not transport.is_closing():
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

    return write
