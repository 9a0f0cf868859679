"""Every case of h2spec against the picker as it runs: its port for Envoy and its port for probes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from epp.transport.h2 import frames
from epp.transport.h2.frames import Setting
from epp.transport.h2.limits import Limits
from tests.e2e.asks import connection
from tests.e2e.h2spec import (
    CASES,
    GET,
    PROTOCOL,
    REFUSED,
    After,
    Outcome,
    Script,
    head,
    settings,
    stream_error,
)
from tests.e2e.http2 import END_OF_CONNECTION, FrameClient
from tests.e2e.process import free_ports
from tests.e2e.stack import Picker, Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def picker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Picker]:
    """Of an endpoint that is not there: nobody asks for it."""
    folder = tmp_path_factory.mktemp("h2spec")
    pool = Pool(folder / "pool", [f"127.0.0.1:{free_ports()}"])
    async with Picker(folder, pool, tls=False) as picker:
        yield picker
        assert not await picker.metric("epp_streams_open")
        assert '"level":"error"' not in picker.output()


@pytest.fixture(params=["ext_proc", "health"])
def port(picker: Picker, request: pytest.FixtureRequest) -> int:
    return picker.port if request.param == "ext_proc" else picker.health_port


@asynccontextmanager
async def greeted(port: int) -> AsyncIterator[FrameClient]:
    """As h2spec begins: both sides' settings are known and acknowledged."""
    async with connection(port) as (reader, writer):
        client = FrameClient(reader, writer)
        client.send(frames.PREFACE, settings())
        assert await client.line() == "SETTINGS"
        await client.until("SETTINGS ACK")
        client.send(frames.settings_ack())
        yield client


async def play(client: FrameClient, script: Script) -> None:
    for step in script:
        if isinstance(step, After):
            await client.until(step.start, step.end)
        else:
            client.send(step)


async def judge(client: FrameClient, outcome: Outcome) -> None:
    """The first line that is an answer, or an error, is one that is accepted."""
    while True:
        line = await client.line()
        kind, _, rest = line.partition(" ")
        error = kind in ("RST_STREAM", "GOAWAY")
        told = f"{kind} ANY {rest.split()[-1]}" if error else line
        if any(told.startswith(start) for start in outcome.starts):
            break
        assert not error, line
        assert line != END_OF_CONNECTION
    if outcome.closes:
        assert await client.line() == END_OF_CONNECTION


@pytest.mark.parametrize("case", CASES)
async def test_case(port: int, case: str) -> None:
    script, outcome = CASES[case]
    async with greeted(port) as client:
        await play(client, script)
        await judge(client, outcome)


async def test_http2_3_5_1_the_server_begins_with_settings(port: int) -> None:
    async with connection(port) as (reader, writer):
        client = FrameClient(reader, writer)
        client.send(frames.PREFACE)
        assert await client.line() == "SETTINGS"


async def test_http2_3_5_2_what_is_no_preface_ends_the_connection(port: int) -> None:
    async with connection(port) as (reader, writer):
        writer.write(b"INVALID CONNECTION PREFACE\r\n\r\n")
        await reader.read()


async def test_http2_5_1_2_a_stream_beyond_the_limit_that_was_announced(port: int) -> None:
    async with greeted(port) as client:
        client.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)))
        await client.until("SETTINGS ACK")
        for number in range(Limits().concurrent_streams + 1):
            client.send(head(stream_id=2 * number + 1))
        await judge(client, stream_error(PROTOCOL, REFUSED))


async def test_answers_have_enough_bytes_to_see_flow_control(port: int) -> None:
    """h2spec passes its cases of flow control over where a GET brings less than five."""
    async with greeted(port) as client:
        client.send(head(GET))
        line = await client.until("DATA 1 ")
        assert int(line.split()[2]) >= 5
