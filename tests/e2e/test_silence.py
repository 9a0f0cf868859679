"""Peers that say nothing more are given up, and all that their streams hold is given back.

In this process, to shorten the limits, which are tens of seconds, but over real sockets. One client is a
process that is stopped: its kernel keeps the connection open, as if the network had lost the machine.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from epp.transport.ext_proc import ext_proc_methods
from epp.transport.h2 import frames
from epp.transport.h2.frames import Setting
from epp.transport.h2.limits import Limits
from epp.transport.h2_server import H2Server
from tests import pickers
from tests.e2e.asks import connection
from tests.e2e.h2spec import HEADERS_END, PLAIN, POST, data, head, settings
from tests.e2e.http2 import FrameClient
from tests.e2e.process import Process, eventually
from tests.e2e.soak import request
from tests.e2e.streams import METHOD
from tests.pools import load

STREAMS = 10

# A whole request of one stream, in frames.
CALL = ((":method", "POST"), (":scheme", "http"), (":path", METHOD), ("content-type", "application/grpc"))
GREETING = frames.PREFACE + settings()


class Served:
    """A picker of real parts behind a server, and the limits that were hit."""

    def __init__(self, limits: Limits) -> None:
        self.picker = pickers.Picker(load(), load())
        self.hits: list[str] = []
        methods = ext_proc_methods(self.picker.conversation)
        self.server = H2Server(
            methods, "127.0.0.1:0", certificate=None, max_body_bytes=1 << 20, limit_hit=self.hits.append
        )
        self.server.limits = limits

    def nothing_is_left(self) -> bool:
        """No connection, no reservation, no byte."""
        return not (self.server.connections or self.picker.held or self.server.tally.buffered)


@asynccontextmanager
async def serving(limits: Limits) -> AsyncIterator[Served]:
    served = Served(limits)
    await served.server.start()
    try:
        yield served
    finally:
        await served.server.drain(0)
        assert not served.server.tasks


async def test_a_gateway_whose_machine_is_lost(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with serving(Limits(keepalive=0.5, keepalive_answer=0.5)) as served:
        argv = [sys.executable, "-m", "tests.e2e.vanishing", str(served.server.port), str(STREAMS)]
        async with Process(argv, tmp_path_factory.mktemp("lost") / "gateway.log") as gateway:
            await eventually(lambda: "asked" in gateway.output())
            await eventually(lambda: served.picker.decisions.kept == STREAMS)
            gateway.send(signal.SIGSTOP)
            assert served.picker.held
            await eventually(served.nothing_is_left, "the end of its streams")
    assert served.hits == ["keepalive"]


async def test_a_gateway_that_answers_pings_keeps_its_streams() -> None:
    async with serving(Limits(keepalive=0.5, keepalive_answer=0.5)) as served:
        async with connection(served.server.port) as (reader, writer):
            client = FrameClient(reader, writer)
            client.send(GREETING, head(CALL, HEADERS_END))
            for _ in range(3):
                told = await client.until("PING ")
                client.send(frames.ping_frame(told.removeprefix("PING ").encode(), ack=True))
            assert len(served.server.connections) == 1
        await eventually(served.nothing_is_left)
    assert not served.hits


async def test_answers_for_which_no_credit_comes() -> None:
    """The reader is there and reads, but for its stream it allows nothing."""
    async with serving(Limits(stalled=0.5)) as served, connection(served.server.port) as (reader, writer):
        client = FrameClient(reader, writer)
        client.send(GREETING, settings((Setting.INITIAL_WINDOW_SIZE, 0)), head(CALL, HEADERS_END))
        for message in request(10_000):
            encoded = message.SerializeToString()
            client.send(data(PLAIN, b"\0" + len(encoded).to_bytes(4, "big") + encoded))
        await eventually(lambda: served.picker.held)
        lines = [await client.line()]
        while not lines[-1].startswith("RST_STREAM"):
            lines.append(await client.line())
        assert lines[-1] == "RST_STREAM 1 ENHANCE_YOUR_CALM"
        assert not any(line.startswith("DATA") for line in lines)
        assert not served.picker.held
        assert not served.server.tally.buffered
    assert served.hits == ["stalled"]


@pytest.mark.parametrize(
    ("sent", "limit"),
    [
        pytest.param(b"", "handshake", id="nothing"),
        pytest.param(frames.PREFACE[:5], "handshake", id="half a preface"),
        pytest.param(frames.PREFACE, "handshake", id="no SETTINGS"),
        pytest.param(GREETING + head(POST, PLAIN), "unfinished", id="half a header block"),
        pytest.param(GREETING + head(POST, HEADERS_END)[:12], "unfinished", id="half a frame"),
        pytest.param(GREETING, "idle", id="no stream"),
    ],
)
async def test_a_client_that_says_no_more(sent: bytes, limit: str) -> None:
    async with serving(Limits(handshake=0.5, unfinished=0.5, idle=0.5)) as served:
        async with connection(served.server.port) as (reader, writer):
            writer.write(sent)
            with suppress(ConnectionError):
                while await reader.read(1 << 16):
                    pass
        await eventually(served.nothing_is_left)
    assert served.hits == [limit]
