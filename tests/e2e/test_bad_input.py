"""Malformed requests through a real Envoy: answers blame the client, nothing leaks, nobody else is hurt."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from h2.connection import H2Connection

from tests.e2e.asks import COMPLETIONS, ask, completion, connection
from tests.e2e.http2 import converse, head
from tests.e2e.malformed import CANARY, Case, Then, cases
from tests.e2e.process import eventually
from tests.e2e.stack import Gateway, Stack, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Connections at a time.
WIDTH = 16

# Bytes by which the picker may grow from its second thousand malformed requests. What it keeps of the first
# thousand is bounded (decisions, model names in labels), and the allocator's slack is of this size.
GROWTH = 16 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, transport: str) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("bad-input")
    async with running_stack(folder, sim=["--time-scale=50"], transport=transport) as stack:
        yield stack


@dataclass(frozen=True, slots=True)
class Answer:
    """The first answer on a connection; `status` 0: it was closed without one."""

    status: int
    head: bytes = b""
    rest: bytes = b""

    def header(self, name: str) -> str:
        for line in self.head.split(b"\r\n"):
            key, _, value = line.partition(b":")
            if key.lower() == name.encode():
                return value.strip().decode()
        return ""


async def send(port: int, case: Case) -> Answer:
    """Does what the case says, and reads to the end of a connection that has one."""
    async with connection(port) as (reader, writer):
        writer.write(case.data)
        if case.then is Then.RESETS:
            reset(writer)
            return Answer(0)
        if case.then is Then.SHUTS:
            writer.write_eof()
        answer = Answer(0)
        data = b""
        with suppress(ConnectionError):
            while (answer.status < 200 or answer.header("connection") == "close") and (
                piece := await reader.read(1 << 16)
            ):
                data += piece
                answer = parse(data)
    return answer


def parse(data: bytes) -> Answer:
    """The final answer in what has come so far."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return Answer(0)
    answer = Answer(int(head.split(b" ", 2)[1]), head, rest)
    return parse(rest) if answer.status < 200 else answer


def reset(writer: asyncio.StreamWriter) -> None:
    """Has the connection closed by RST instead of FIN."""
    connected: socket.socket = writer.get_extra_info("socket")
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def send_all(port: int, chosen: list[Case]) -> list[tuple[Case, Answer]]:
    """All of them, `WIDTH` at a time."""
    queue = iter(chosen)
    done: list[tuple[Case, Answer]] = []

    async def work() -> None:
        for case in queue:
            answer = await send(port, case)
            done.append((case, answer))

    async with asyncio.TaskGroup() as group:
        for number in range(WIDTH):
            group.create_task(work(), name=f"client {number}")
    return done


def judge(done: list[tuple[Case, Answer]]) -> Counter[tuple[int, str]]:
    """How often each status came, and from whom; fails for an error that is ours."""
    tally: Counter[tuple[int, str]] = Counter()
    for case, answer in done:
        reason = answer.header("x-inference-error-reason")
        server = answer.header("x-served-by")
        tally[answer.status, "server" if server else reason or "envoy"] += 1
        # A server that hangs up on a request which goes on too long for it is no fault of the picker.
        hung_up = b"reset reason: connection termination" in answer.rest
        assert answer.status < 500 or server or hung_up, (case.kind, case.data[:300], answer)
        if reason:
            assert answer.status == 400
            assert answer.header("content-type") == "application/json"
            if b"HEAD" not in case.data[:4]:
                error = json.loads(answer.rest[: int(answer.header("content-length"))])["error"]
                assert error["code"] == 400
                assert CANARY not in error["message"]
    return tally


async def assert_unhurt(stack: Stack, pid: int) -> None:
    """The picker is the one that it was, holds nothing, and serves."""
    await eventually(stack.picker.is_idle)
    assert (stack.picker.alive, stack.picker.pid) == (True, pid)
    answer = await ask(stack.client, COMPLETIONS, completion())
    assert answer.status_code == 200
    assert '"level":"error"' not in stack.picker.output()


async def test_a_thousand_malformed_requests(stack: Stack) -> None:
    pid = stack.picker.pid
    tally = judge(await send_all(stack.gateway.port, list(cases(1000, seed=1))))
    assert tally.total() == 1000
    assert {(400, "bad_json"), (400, "bad_shape"), (400, "no_model"), (200, "server")} <= set(tally), tally
    await assert_unhurt(stack, pid)

    before = stack.picker.resident_bytes
    judge(await send_all(stack.gateway.port, list(cases(1000, seed=2))))
    await assert_unhurt(stack, pid)
    assert stack.picker.resident_bytes - before < GROWTH


@pytest.mark.parametrize("mode", ["STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "NONE"])
async def test_malformed_requests_in_other_modes(stack: Stack, mode: str, tmp_path: Path) -> None:
    modes = {"request_body_mode": mode, "response_body_mode": mode}
    async with Gateway(tmp_path, stack.picker, stack.pool, **modes) as gateway:
        pid = stack.picker.pid
        judge(await send_all(gateway.port, list(cases(250, seed=3))))
        await assert_unhurt(Stack(stack.sim, stack.pool, stack.picker, gateway), pid)


BODY = b'{"model": "food-review", "prompt": "hi", "max_tokens": 2}'


class Frames:
    """HTTP/2 requests that go wrong, each on stream 1 unless it says otherwise."""

    @staticmethod
    def reset_after_headers(h2: H2Connection) -> None:
        h2.send_headers(1, head())
        h2.reset_stream(1)

    @staticmethod
    def reset_in_the_body(h2: H2Connection) -> None:
        h2.send_headers(1, head())
        h2.send_data(1, BODY[:10])
        h2.reset_stream(1)

    @staticmethod
    def reset_after_the_body(h2: H2Connection) -> None:
        h2.send_headers(1, head())
        h2.send_data(1, BODY, end_stream=True)
        h2.reset_stream(1)

    @staticmethod
    def post_without_a_body(h2: H2Connection) -> None:
        h2.send_headers(1, head(), end_stream=True)

    @staticmethod
    def empty_data_at_the_end(h2: H2Connection) -> None:
        h2.send_headers(1, head())
        h2.send_data(1, b"")
        h2.send_data(1, b"", end_stream=True)

    @staticmethod
    def a_byte_a_frame(h2: H2Connection) -> None:
        h2.send_headers(1, head())
        for byte in BODY:
            h2.send_data(1, bytes([byte]), pad_length=7)
        h2.send_data(1, b"", end_stream=True)

    @staticmethod
    def trailers_without_a_body(h2: H2Connection) -> None:
        h2.send_headers(1, head())
        h2.send_headers(1, [("x-checksum", "1")], end_stream=True)

    @staticmethod
    def trailers_that_are_no_trailers(h2: H2Connection) -> None:
        h2.send_headers(1, head())
        h2.send_data(1, BODY)
        h2.send_headers(1, [(":path", "/other"), ("content-length", "7")], end_stream=True)

    @staticmethod
    def wrong_length(h2: H2Connection) -> None:
        h2.send_headers(1, head(content_length="7"))
        h2.send_data(1, BODY, end_stream=True)

    @staticmethod
    def upper_case_header(h2: H2Connection) -> None:
        h2.send_headers(1, [*head(), ("X-Upper", "1")])
        h2.send_data(1, BODY, end_stream=True)

    @staticmethod
    def no_path(h2: H2Connection) -> None:
        h2.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":authority", "here")])
        h2.send_data(1, BODY, end_stream=True)

    @staticmethod
    def repeated_pseudo_headers(h2: H2Connection) -> None:
        h2.send_headers(1, [*head(), (":path", "/v1/models")])
        h2.send_data(1, BODY, end_stream=True)

    @staticmethod
    def connection_headers(h2: H2Connection) -> None:
        h2.send_headers(1, head(connection="close", transfer_encoding="chunked", upgrade="websocket"))
        h2.send_data(1, BODY, end_stream=True)

    @staticmethod
    def fifty_streams_half_of_them_reset(h2: H2Connection) -> None:
        for stream in range(1, 100, 2):
            h2.send_headers(stream, head())
            h2.send_data(stream, BODY, end_stream=stream % 4 == 1)
            if stream % 4 == 3:
                h2.reset_stream(stream)


@pytest.mark.parametrize("name", sorted(name for name in vars(Frames) if not name.startswith("_")))
async def test_frames_in_the_wrong_order(stack: Stack, name: str) -> None:
    pid = stack.picker.pid
    replies = await converse(stack.gateway.port, getattr(Frames, name))
    assert all(reply.status < 500 for reply in replies.values()), replies
    await assert_unhurt(stack, pid)


async def test_streams_beside_those_that_are_reset_are_served(stack: Stack) -> None:
    replies = await converse(stack.gateway.port, Frames.fifty_streams_half_of_them_reset)
    assert [number for number, reply in replies.items() if reply.status == 200] == list(range(1, 100, 4))


async def test_nobody_writes_down_what_was_asked(stack: Stack) -> None:
    await send_all(stack.gateway.port, list(cases(200, seed=4)))
    assert CANARY not in stack.picker.output()
    for page in ("/metrics", "/debug/decisions?limit=1000", "/debug/endpoints"):
        assert CANARY not in await stack.picker.page(page)
