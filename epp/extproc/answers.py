"""The answers that take more than one line to make: errors, destinations, bodies in pieces."""

from __future__ import annotations

import msgspec

from epp.errors import RequestError
from epp.extproc.exchange import Exchange
from epp.extproc.names import DESTINATION
from epp.wire.messages import (
    NO_METADATA,
    Answer,
    HeaderList,
    HeaderMutation,
    ImmediateResponse,
    MetadataMap,
    Phase,
    StreamedBody,
)

# Some proxies refuse body messages over 64 KB; the reference cuts here (its issue #854).
BODY_PIECE_BYTES = 62_000


def error_response(error: RequestError) -> ImmediateResponse:
    """The OpenAI-style answer to a request that was refused."""
    body = {"error": {"message": error.message, "type": error.kind, "code": error.status}}
    headers = [("content-type", "application/json"), ("x-inference-error-reason", error.reason)]
    if error.retry_after is not None:
        headers.append(("retry-after", str(error.retry_after)))
    return ImmediateResponse(
        error.status, tuple(headers), msgspec.json.encode(body), details=f"epp_{error.reason}"
    )


def with_destination(exchange: Exchange, length: int | None) -> HeaderMutation:
    """Where the request goes, with the other changes to its headers; `length` None or 0: not told."""
    changes = exchange.request_mutation
    told: HeaderList = (("Content-Length", str(length)),) if length else ()
    return HeaderMutation(((DESTINATION, exchange.destination), *told, *changes.set), changes.remove)


def cut(phase: Phase, data: bytes, *, end: bool, metadata: MetadataMap = NO_METADATA) -> list[Answer]:
    """`data` in pieces that every proxy takes; at least one, so that an end is told even when it is empty.

    `metadata` goes with the end.
    """
    if len(data) <= BODY_PIECE_BYTES:
        return [StreamedBody(phase, data, end, metadata)]
    view = memoryview(data)
    last = (len(data) - 1) // BODY_PIECE_BYTES * BODY_PIECE_BYTES
    pieces: list[Answer] = [
        StreamedBody(phase, view[start : start + BODY_PIECE_BYTES])
        for start in range(0, last, BODY_PIECE_BYTES)
    ]
    pieces.append(StreamedBody(phase, view[last:], end, metadata))
    return pieces
