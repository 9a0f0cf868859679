"""What only our own HTTP/2 server can be asked; what both servers do is in test_servers.py."""

import asyncio
import gzip
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest

from epp.transport.calls import Call, Method
from epp.transport.h2 import frames
from epp.transport.h2.frames import END_STREAM, ErrorCode, Setting
from epp.transport.h2.limits import Limits
from epp.transport.h2_server import Edge, H2Server
from tests.h2_peer import REQUEST, Field, Peer, data, settings

PATIENCE = 10.0  # seconds that a condition may take here

GRPC: tuple[Field, ...] = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test/Echo"),
    ("content-type", "application/grpc"),
)


async def echo(call: Call) -> None:
    while (message := await call.read()) is not None:
        await call.write([message])


@asynccontextmanager
async def serving(
    methods: Mapping[str, Method] | None = None,
    *,
    limits: Limits | None = None,
    limit_hit: Callable[[str], object] = lambda _: None,
) -> AsyncIterator[H2Server]:
    server = H2Server(
        {"/test/Echo": echo} if methods is None else methods,
        "127.0.0.1:0",
        certificate=None,
        max_body_bytes=64 << 20,
        limit_hit=limit_hit,
    )
    if limits is not None:
        server.limits = limits
    await server.start()
    try:
        async with asyncio.timeout(PATIENCE):
            yield server
    finally:
        await server.drain(0)
        assert server.tally.buffered == 0  # whatever happened, all of it was given back
        assert not server.connections
        assert not server.tasks


class Client(Peer):
    """A client over a socket: what it hears is what came until a condition holds."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(greet=False)
        self.reader, self.writer = reader, writer
        self.lines: list[str] = []
        self._received = b""

    def tell(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def hears(self, *ends: str) -> list[str]:
        """Lines up to the one that starts with one of `ends`, or to "EOF"."""
        lines = []
        while True:
            line = await self._next()
            lines.append(line)
            if line.startswith((*ends, "EOF")):
                return lines

    async def _next(self) -> str:
        while len(self._received) < 9 or len(self._received) < 9 + int.from_bytes(self._received[:3], "big"):
            piece = await self.reader.read(1 << 16)
            if not piece:
                return "EOF"
            self._received += piece
        end = 9 + int.from_bytes(self._received[:3], "big")
        frame, self._received = self._received[:end], self._received[end:]
        (line,) = self.read(frame)
        return line


@asynccontextmanager
async def talking(server: H2Server) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    client = Client(reader, writer)
    client.tell(frames.PREFACE, frames.settings_frame({}))
    assert await client.hears("SETTINGS ACK") == ["SETTINGS", "WINDOW_UPDATE 0 16711681", "SETTINGS ACK"]
    try:
        yield client
    finally:
        writer.close()
        await writer.wait_closed()


def message(payload: bytes, *, compressed: bool = False) -> bytes:
    return bytes([compressed]) + len(payload).to_bytes(4, "big") + payload


HEADERS_1 = "HEADERS 1 :status=200 content-type=application/grpc grpc-accept-encoding=identity,gzip"


async def test_a_call_frame_by_frame() -> None:
    async with serving() as server, talking(server) as client:
        client.tell(client.request(1, GRPC), data(1, message(b"one") + message(b"two")))
        assert await client.hears("DATA") == [HEADERS_1, "DATA 1 8"]
        assert await client.hears("DATA") == ["DATA 1 8"]
        client.tell(data(1, b"", END_STREAM))
        assert await client.hears("HEADERS") == ["HEADERS 1 grpc-status=0 END"]


async def test_a_whole_call_in_one_frame() -> None:
    async with serving() as server, talking(server) as client:
        client.tell(client.request(1, GRPC), data(1, message(b"one") + message(b"two"), END_STREAM))
        heard = await client.hears("HEADERS 1 grpc-status")
        assert heard == [HEADERS_1, "DATA 1 8", "DATA 1 8", "HEADERS 1 grpc-status=0 END"]


@pytest.mark.parametrize(
    ("fields", "heard"),
    [
        (REQUEST, "HEADERS 1 :status=415 content-type=text/plain"),
        ([(":method", "GET"), *GRPC[1:]], "HEADERS 1 :status=405 content-type=text/plain allow=POST"),
    ],
)
async def test_what_is_no_grpc_gets_an_http_answer(fields: list[Field], heard: str) -> None:
    async with serving() as server, talking(server) as client:
        client.tell(client.request(1, fields, end=True))
        lines = await client.hears("DATA")
        assert lines[0] == heard
        assert lines[1].endswith("END") or (await client.hears("DATA")) == ["DATA 1 0 END"]


GET = [(":method", "GET"), *REQUEST[1:]]


async def test_any_http_client_meets_flow_control_and_the_limit_of_streams() -> None:
    """Answers to what is no gRPC have bodies, so that checkers of HTTP/2 can see them wait for credit."""
    async with serving() as server, talking(server) as client:
        client.tell(settings((Setting.INITIAL_WINDOW_SIZE, 0)))
        last = 2 * server.limits.concurrent_streams + 1
        for stream in range(1, last + 1, 2):
            client.tell(client.request(stream, GET, end=True))
        assert (await client.hears("RST_STREAM"))[-1] == f"RST_STREAM {last} REFUSED_STREAM"
        client.tell(frames.window_update_frame(1, 1))
        assert (await client.hears("DATA"))[-1] == "DATA 1 1"
        client.tell(settings((Setting.INITIAL_WINDOW_SIZE, 3)))
        assert (await client.hears("DATA"))[-1] == "DATA 1 3"


async def test_body_of_what_is_no_grpc_is_read_and_its_length_checked() -> None:
    async with serving() as server, talking(server) as client:
        client.tell(client.request(1, [*REQUEST, ("content-length", "1")]), data(1, b"test", END_STREAM))
        assert (await client.hears("RST_STREAM"))[-1] == "RST_STREAM 1 PROTOCOL_ERROR"


async def test_large_body_of_what_is_no_grpc_is_read_to_its_end() -> None:
    """A client that sends all of it before it looks at the answer would wait for credit for ever."""
    async with serving() as server, talking(server) as client:
        client.tell(client.request(1, REQUEST), *[data(1, bytes(16_384))] * 32)
        assert (await client.hears("WINDOW_UPDATE 1"))[-1] == f"WINDOW_UPDATE 1 {1 << 19}"


async def test_body_behind_too_many_fields_is_not_wanted() -> None:
    async with serving() as server, talking(server) as client:
        client.tell(client.request(1, [*REQUEST, *[(f"x-{number}", "") for number in range(500)]]))
        assert await client.hears("RST_STREAM") == ["HEADERS 1 :status=431 END", "RST_STREAM 1 NO_ERROR"]


async def test_status_alone_and_the_rest_is_not_wanted() -> None:
    async with serving() as server, talking(server) as client:
        fields = [*GRPC[:2], (":path", "/test/Unknown"), GRPC[3]]
        client.tell(client.request(1, fields))
        head, reset = await client.hears("RST_STREAM")
        assert head.startswith("HEADERS 1 :status=200 content-type=application/grpc grpc-status=12")
        assert head.endswith("END")
        assert reset == "RST_STREAM 1 NO_ERROR"


async def test_compressed_message() -> None:
    async with serving() as server, talking(server) as client:
        squeezed = message(gzip.compress(b"hello"), compressed=True)
        client.tell(client.request(1, [*GRPC, ("grpc-encoding", "gzip")]), data(1, squeezed))
        assert await client.hears("DATA") == [HEADERS_1, f"DATA 1 {5 + 5}"]


async def test_request_that_ends_amid_a_message() -> None:
    async with serving() as server, talking(server) as client:
        client.tell(client.request(1, GRPC), data(1, message(b"one")[:-1], END_STREAM))
        (line,) = await client.hears("HEADERS")
        assert "grpc-status=13 grpc-message=the request ends amid a message" in line


async def test_deadline() -> None:
    async def forever(call: Call) -> None:
        await call.read()
        await asyncio.Event().wait()

    for method in (echo, forever):  # without a task and with one
        async with serving({"/test/Echo": method}) as server, talking(server) as client:
            client.tell(client.request(1, [*GRPC, ("grpc-timeout", "20m")]), data(1, message(b"")))
            line = (
                await client.hears(
                    "HEADERS 1 grpc", "HEADERS 1 :status=200 content-type=application/grpc grpc-st"
                )
            )[-1]
            assert "grpc-status=4" in line


async def test_cancelled_calls_give_everything_back_and_the_connection_lives() -> None:
    left: list[int] = []

    async def method(call: Call) -> None:
        try:
            await echo(call)
        finally:
            left.append(1)

    async with serving({"/test/Echo": method}) as server, talking(server) as client:
        for stream in range(1, 101, 2):
            client.tell(client.request(stream, GRPC), data(stream, message(b"x" * 1_000)[:-1]))
            client.tell(frames.rst_stream_frame(stream, ErrorCode.CANCEL))
        client.tell(client.request(201, GRPC, end=True))
        await client.hears("HEADERS 201")
        assert len(left) == 51
        assert server.tally.buffered == 0


async def test_answers_wait_for_credit_and_their_writer_with_them() -> None:
    written = 0
    size = 100_000

    async def flood(call: Call) -> None:
        nonlocal written
        for _ in range(10):
            await call.write([b"x" * size])
            written += 1

    async with serving({"/test/Echo": flood}) as server, talking(server) as client:
        client.tell(settings((Setting.INITIAL_WINDOW_SIZE, 0)), client.request(1, GRPC))
        await client.hears(HEADERS_1)
        # Two in the queue bring it over its bound of 128 KiB; the third waits.
        assert written == 2
        assert server.tally.buffered == 2 * (size + 5)
        client.tell(frames.window_update_frame(1, 1 << 24), frames.window_update_frame(0, 1 << 24))
        assert (await client.hears("HEADERS 1 grpc-status"))[-1] == "HEADERS 1 grpc-status=0 END"
        assert written == 10


async def test_method_that_does_not_read_gets_no_more_than_the_window() -> None:
    go_on = asyncio.Event()

    async def slow(call: Call) -> None:
        await go_on.wait()
        while await call.read() is not None:
            pass

    window = Limits().stream_window
    async with serving({"/test/Echo": slow}) as server, talking(server) as client:
        client.tell(client.request(1, GRPC))
        piece = message(b"x" * 16_379)
        for _ in range(2 * window // len(piece)):
            client.tell(data(1, piece))
        client.tell(frames.ping_frame(b"12345678", ack=False))
        lines = await client.hears("PING")
        credit = sum(int(line.split()[2]) for line in lines if line.startswith("WINDOW_UPDATE 1"))
        assert credit <= 1.5 * window
        assert server.tally.buffered > 0
        go_on.set()
        await client.hears("WINDOW_UPDATE 1")
        client.tell(data(1, b"", END_STREAM))
        await client.hears("HEADERS 1")


async def test_more_than_the_server_will_hold() -> None:
    hits: list[str] = []
    limits = Limits(buffered_bytes=50_000)
    async with serving(limits=limits, limit_hit=hits.append) as server, talking(server) as client:
        client.tell(client.request(1, GRPC), client.request(3, GRPC))
        for _ in range(4):
            client.tell(data(1, message(b"x" * 1_000_000)[:16_000]))
        assert "grpc-status=8" in (await client.hears("HEADERS 1"))[-1]
        assert hits == ["buffered_bytes"]
        client.tell(data(3, message(b"fine")))
        await client.hears("DATA 3")


async def test_connection_error_is_told_and_the_socket_closed() -> None:
    async with serving() as server, talking(server) as client:
        client.tell(data(0, b"x"))
        assert await client.hears("EOF") == ["GOAWAY 0 PROTOCOL_ERROR", "EOF"]


async def test_too_many_connections() -> None:
    hits: list[str] = []
    async with serving(limits=Limits(connections=1), limit_hit=hits.append) as server, talking(server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert hits == ["connections"]


async def test_client_that_does_not_read_is_not_read_either() -> None:
    async with serving() as server, talking(server) as client:
        wide = frames.window_update_frame(0, 1 << 30)
        client.tell(settings((Setting.INITIAL_WINDOW_SIZE, 1 << 30)), wide, client.request(1, GRPC))
        await client.hears(HEADERS_1, "SETTINGS ACK")
        (edge,) = server.connections
        transport = edge._transport
        sent = 0
        while transport.is_reading():
            client.tell(data(1, message(b"x" * 16_000)))
            await asyncio.sleep(0)
            sent += 1
        assert transport.get_write_buffer_size() < 1 << 20
        heard = 0
        while heard < sent * 16_005:
            lines = await client.hears("DATA")
            heard += int(lines[-1].split()[2])
        assert transport.is_reading()


async def test_drain_tells_clients_and_waits_for_their_streams() -> None:
    async with serving() as server, talking(server) as client:
        client.tell(client.request(1, GRPC), data(1, message(b"one")))
        await client.hears("DATA")
        draining = asyncio.create_task(server.drain(PATIENCE), name="drain")
        assert await client.hears("PING") == [f"GOAWAY {frames.MAX_STREAM_ID} NO_ERROR", "PING draining"]
        client.tell(frames.ping_frame(b"draining", ack=True))
        assert await client.hears("GOAWAY") == ["GOAWAY 1 NO_ERROR"]
        client.tell(data(1, b"", END_STREAM))
        assert await client.hears("EOF") == ["HEADERS 1 grpc-status=0 END", "EOF"]
        await draining


async def test_a_method_that_waits_goes_on_as_a_task() -> None:
    async def method(call: Call) -> None:
        while (received := await call.read()) is not None:
            await asyncio.sleep(0)
            async with asyncio.timeout(PATIENCE):
                await call.write([received])

    async with (
        serving({"/test/Echo": method}) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        stream: Any = channel.stream_stream("/test/Echo")()
        for text in (b"one", b"two", b"x" * 200_000):
            await stream.write(text)
            assert await stream.read() == text
        await stream.done_writing()
        assert await stream.code() is grpc.StatusCode.OK


async def test_random_resets_under_load_leak_nothing() -> None:
    """A foreign client with many streams at once, a third of which it gives up somewhere."""
    rng = random.Random(1)
    opened = closed = 0
    over = asyncio.Event()

    async def method(call: Call) -> None:
        nonlocal opened, closed
        opened += 1
        over.clear()
        try:
            while (received := await call.read()) is not None:
                if received[:1] == b"w":
                    await asyncio.sleep(0.001)
                await call.write([received])
        finally:
            closed += 1
            over.set() if closed == opened else over.clear()

    async def one(channel: grpc.aio.Channel, number: int) -> None:
        stream: Any = channel.stream_stream("/test/Echo")()
        give_up = rng.randrange(12)
        for at in range(4):
            if at == give_up:
                stream.cancel()
                return
            text = (b"w" if rng.random() < 0.3 else b"x") * rng.choice((10, 1_000, 70_000))
            await stream.write(text)
            assert await stream.read() == text
        await stream.done_writing()
        assert await stream.code() is grpc.StatusCode.OK

    async with (
        serving({"/test/Echo": method}) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        for _ in range(5):
            async with asyncio.TaskGroup() as group:
                for number in range(60):
                    group.create_task(one(channel, number), name=f"client {number}")
        assert opened > 200
        await over.wait()
        assert sum(len(edge.connection.streams) for edge in server.connections) == 0


async def test_a_foreign_http_client_is_told_what_this_is() -> None:
    async with (
        serving() as server,
        httpx.AsyncClient(http1=False, http2=True, base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        answer = await client.post("/test/Echo", content=b"x" * 100_000)
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 415)
        assert answer.text == "the content-type must be application/grpc\n"
        framed = await client.post(
            "/test/Echo", content=message(b"hello"), headers={"content-type": "application/grpc"}
        )
        assert framed.content == message(b"hello")


class Socket(asyncio.Transport):
    """Notes what an edge does with it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append("write")

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")

    def is_closing(self) -> bool:
        return False


def long_read(client: Peer) -> bytes:
    """What four turns are needed for: a request for a wrong content-type with a body of 200 KB."""
    body = [data(1, bytes(16_384))] * 12
    return b"".join([frames.PREFACE, frames.settings_frame({}), client.request(1, REQUEST), *body])


async def test_a_long_read_is_handled_in_turns() -> None:
    async with serving() as server:
        socket, edge = Socket(), Edge(server)
        edge.connection_made(socket)
        edge.data_received(long_read(Peer(greet=False)))
        assert socket.done == ["write", "pause", "write"]  # the greeting; the answer of the first turn
        for _ in range(4):
            await asyncio.sleep(0)
        assert "resume" in socket.done
        [stream] = edge.connection.streams
        assert stream.receive_window == server.limits.stream_window - 12 * 16_384
        edge.connection_lost(None)


async def test_between_turns_a_peer_that_does_not_read_stays_paused() -> None:
    async with serving() as server:
        socket, edge = Socket(), Edge(server)
        edge.connection_made(socket)
        edge.data_received(long_read(Peer(greet=False)))
        edge.pause_writing()
        for _ in range(5):
            await asyncio.sleep(0)
        assert "resume" not in socket.done
        edge.resume_writing()
        assert socket.done[-1] == "resume"
        edge.connection_lost(None)


async def test_a_connection_that_is_lost_between_turns() -> None:
    async with serving() as server:
        socket, edge = Socket(), Edge(server)
        edge.connection_made(socket)
        edge.data_received(long_read(Peer(greet=False)))
        edge.connection_lost(None)
        for _ in range(5):
            await asyncio.sleep(0)
        assert edge.connection.streams == []
