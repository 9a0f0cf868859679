"""Running a method step by step, and as a task once it waits for something else."""

import asyncio
import gc
import weakref

import pytest

from epp.errors import GrpcStatus, ProtocolError
from epp.transport.calls import Call, Faults, Method
from epp.transport.h2.frames import END_STREAM, ErrorCode, rst_stream_frame
from epp.transport.h2.grpc import framed
from epp.transport.h2.header_blocks import Fields
from epp.transport.h2.stream import Stream
from epp.transport.h2_calls import StreamCall
from tests.h2_peer import Peer, data


class Bench(Peer):
    """A client of one method, whose server has no socket."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.faults = Faults()
        self.tasks: set[asyncio.Task[None]] = set()
        self.method = method
        self.call: StreamCall

    def flush(self) -> None:
        pass

    def keep(self, task: asyncio.Task[None]) -> None:
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_request(self, stream: Stream, fields: Fields, ended: bool) -> None:
        self.call = stream.receiver = StreamCall(self, stream, "identity")
        self.call.start(self.method, None)

    def does(self, *pieces: bytes) -> list[str]:
        """What the client hears when it sends this."""
        self.send(*pieces)
        return self.hear()

    async def settled(self) -> None:
        """When all tasks are done, and those told that wait for it."""
        if self.tasks:
            await asyncio.wait(self.tasks)
        await asyncio.sleep(0)

    def opens(self) -> list[str]:
        return self.does(self.request())

    def says(self, *texts: bytes, end: bool = False) -> list[str]:
        return self.does(data(1, b"".join(framed(texts)), END_STREAM if end else 0))


RESPONSE = "HEADERS 1 :status=200 content-type=application/grpc grpc-accept-encoding=identity,gzip"
OK = "HEADERS 1 grpc-status=0 END"


async def echo(call: Call) -> None:
    while (message := await call.read()) is not None:
        await call.write([message])


async def test_no_task_while_the_method_waits_for_its_call_alone() -> None:
    bench = Bench(echo)
    assert bench.opens() == []
    assert bench.says(b"one", b"two") == [RESPONSE, "DATA 1 8", "DATA 1 8"]
    assert bench.says(b"three", end=True) == ["DATA 1 10", OK]
    assert not bench.tasks
    assert bench.tally.buffered == 0


async def test_the_rest_becomes_a_task() -> None:
    go_on = asyncio.Event()

    async def method(call: Call) -> None:
        await echo_one(call)
        await go_on.wait()
        async with asyncio.timeout(10):
            await echo(call)

    async def echo_one(call: Call) -> None:
        message = await call.read()
        assert message is not None
        await call.write([message])

    bench = Bench(method)
    bench.opens()
    assert bench.says(b"one") == [RESPONSE, "DATA 1 8"]
    (task,) = bench.tasks
    assert task.get_name() == "call 1"
    assert bench.says(b"two", b"three", end=True) == []
    go_on.set()
    await task
    await asyncio.sleep(0)
    assert bench.hear() == ["DATA 1 8", "DATA 1 10", OK]


async def test_task_waits_for_messages_that_come_later() -> None:
    async def method(call: Call) -> None:
        await asyncio.sleep(0)
        await echo(call)

    bench = Bench(method)
    bench.opens()
    (task,) = bench.tasks
    await asyncio.sleep(0)
    assert bench.says(b"one", end=True) == []
    await task
    await asyncio.sleep(0)
    assert bench.hear() == [RESPONSE, "DATA 1 8", OK]


@pytest.mark.parametrize("as_task", [False, True])
@pytest.mark.parametrize(
    ("error", "heard"),
    [
        (ProtocolError("no such thing"), "grpc-status=3 grpc-message=no such thing"),
        (KeyError("a secret"), "grpc-status=13 grpc-message=internal error of the endpoint picker"),
    ],
)
async def test_errors_become_a_status(as_task: bool, error: Exception, heard: str) -> None:
    async def method(call: Call) -> None:
        await call.read()
        if as_task:
            await asyncio.sleep(0)
        raise error

    bench = Bench(method)
    bench.opens()
    lines = bench.says(b"one")
    await bench.settled()
    assert lines + bench.hear() == [
        f"HEADERS 1 :status=200 content-type=application/grpc {heard} END",
        "RST_STREAM 1 NO_ERROR",
    ]


@pytest.mark.parametrize("as_task", [False, True])
async def test_reset_cancels_the_method_which_may_clean_up(as_task: bool) -> None:
    seen: list[str] = []

    async def method(call: Call) -> None:
        try:
            if as_task:
                await asyncio.sleep(0)
            await call.read()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)  # cleaning up may take a while
            assert await call.read() is None
            await call.write([b"into the void"])
            seen.append("cleaned up")
            raise

    bench = Bench(method)
    bench.opens()
    await asyncio.sleep(0)
    assert bench.does(rst_stream_frame(1, ErrorCode.CANCEL)) == []
    await bench.settled()
    assert seen == ["cancelled", "cleaned up"]
    assert bench.hear() == []
    assert bench.tally.buffered == 0


async def test_reset_leaves_nothing_for_the_garbage_collector() -> None:
    class Held:
        pass

    held: list[weakref.ref[Held]] = []

    async def method(call: Call) -> None:
        mine = Held()
        held.append(weakref.ref(mine))
        await call.read()

    bench = Bench(method)
    bench.opens()
    gc.disable()
    try:
        bench.does(rst_stream_frame(1, ErrorCode.CANCEL))
        assert held[0]() is None
    finally:
        gc.enable()


async def test_stop_tells_its_status_and_cancels() -> None:
    bench = Bench(echo)
    bench.opens()
    bench.call.stop(GrpcStatus.UNAVAILABLE, "later")
    assert bench.hear() == [
        "HEADERS 1 :status=200 content-type=application/grpc grpc-status=14 grpc-message=later END",
        "RST_STREAM 1 NO_ERROR",
    ]
    assert bench.says(b"late") == []


@pytest.mark.parametrize("as_task", [False, True])
async def test_method_that_is_cancelled_by_something_else_still_has_a_status(as_task: bool) -> None:
    async def method(call: Call) -> None:
        await call.read()
        if as_task:
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    bench = Bench(method)
    bench.opens()
    lines = bench.says(b"one")
    await bench.settled()
    assert "grpc-status=14" in (lines + bench.hear())[0]


async def test_method_that_ends_at_once() -> None:
    async def method(call: Call) -> None:
        await call.write([b"bye"])

    assert Bench(method).opens() == [RESPONSE, "DATA 1 8", OK, "RST_STREAM 1 NO_ERROR"]


async def test_unread_and_unfinished_messages_are_counted() -> None:
    async def method(call: Call) -> None:
        await asyncio.Event().wait()

    bench = Bench(method)
    bench.opens()
    bench.says(b"x" * 100)
    assert bench.tally.buffered == 100
    bench.does(data(1, b"".join(framed([b"y" * 50]))[:25]))
    assert bench.tally.buffered == 120
    assert repr(bench.call).endswith("1 unread>")
    bench.does(rst_stream_frame(1, ErrorCode.CANCEL))
    assert bench.tally.buffered == 0
    await bench.settled()
