"""HTTP/2 frames in any order, for what no HTTP client would send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset

from epp.transport.h2 import frames
from tests.e2e.asks import COMPLETIONS, connection
from tests.h2_peer import Peer

_LAX = H2Configuration(
    client_side=True,
    header_encoding="utf-8",
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    validate_inbound_headers=False,
)


@dataclass(slots=True)
class Reply:
    """What came on one stream; `status` 0: it was reset, or the connection closed, without an answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    over: bool = False


def head(path: str = COMPLETIONS, **more: str) -> list[tuple[str, str]]:
    """The headers of a POST; keywords add to them, with "_" for "-"."""
    pseudo = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "here")]
    return pseudo + [(name.replace("_", "-"), value) for name, value in more.items()]


async def converse(port: int, write: Callable[[H2Connection], None]) -> dict[int, Reply]:
    """Has `write` send frames on a new connection; what comes back, by stream.

    Returns when every stream that was opened is over, or the connection is.
    """
    h2 = H2Connection(_LAX)
    replies: dict[int, Reply] = {}
    async with connection(port) as (reader, writer):
        h2.initiate_connection()
        write(h2)
        for number in range(1, h2.highest_outbound_stream_id + 1, 2):
            replies[number] = Reply(over=number not in h2.streams or h2.streams[number].closed)
        with suppress(ConnectionError):
            writer.write(h2.data_to_send())
            while not all(reply.over for reply in replies.values()):
                if not (data := await reader.read(1 << 16)):
                    break
                for event in h2.receive_data(data):
                    _take(event, replies, h2)
                writer.write(h2.data_to_send())
    return replies


def _take(event: Event, replies: dict[int, Reply], h2: H2Connection) -> None:
    match event:
        case ResponseReceived():
            headers = {str(name): str(value) for name, value in event.headers}
            replies[event.stream_id].headers = headers
            replies[event.stream_id].status = int(headers[":status"])
        case DataReceived():
            replies[event.stream_id].body += event.data
            h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        case StreamEnded() | StreamReset():
            replies[event.stream_id].over = True


# What a `FrameClient` hears last.
END_OF_CONNECTION = "EOF"


class FrameClient:
    """A connection of bare frames; what it hears is one line a frame (see `tests.h2_peer.Peer.read`)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = Peer(greet=False)

    def send(self, *pieces: bytes) -> None:
        self._writer.write(b"".join(pieces))

    async def line(self) -> str:
        """The next frame; END_OF_CONNECTION after the last one."""
        try:
            start = await self._reader.readexactly(frames.FRAME_HEAD)
            payload = await self._reader.readexactly(int.from_bytes(start[:3], "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return END_OF_CONNECTION
        [line] = self._frames.read(start + payload)
        return line

    async def until(self, start: str, end: str = "") -> str:
        """Passes lines over up to one that is like this."""
        while True:
            line = await self.line()
            assert line != END_OF_CONNECTION, start
            if line.startswith(start) and line.endswith(end):
                return line
