"""One gRPC call over an HTTP/2 stream: runs its method step by step, without a task for as long as it can.

A method that only reads and writes its call is moved on by what comes over the wire: its coroutine is sent
on right where the data was received, so all answers to one read leave in one write, and no task is made
nor the event loop asked. The first time that it waits for anything else, the rest of it becomes a task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from types import coroutine
from typing import Any, Protocol

from epp.errors import GrpcStatus
from epp.transport.calls import Faults, Method
from epp.transport.h2.connection import Connection
from epp.transport.h2.grpc import RESPONSE, CallError, MessageReader, framed, trailers
from epp.transport.h2.limits import Limits, Tally
from epp.transport.h2.stream import Stream

# What a coroutine yields that waits for its own call: for its next message, or until it may write again.
_READING: Any = object()
_WRITING: Any = object()


class Edge(Protocol):
    """What a call needs of the connection's edge."""

    connection: Connection
    faults: Faults
    limits: Limits
    tally: Tally

    def flush(self) -> None:
        """Write what the connection has to send, unless that is about to happen anyway."""

    def keep(self, task: asyncio.Task[None]) -> None:
        """Own a task until it is done."""


class StreamCall:
    """`epp.transport.calls.Call` over a stream, and the method that runs on it; the stream's `Receiver`."""

    __slots__ = (
        "_deadline",
        "_edge",
        "_ended",
        "_held",
        "_messages",
        "_over",
        "_parked",
        "_reader",
        "_routine",
        "_stream",
        "_task",
        "_unread",
        "_waiter",
    )

    def __init__(self, edge: Edge, stream: Stream, encoding: str) -> None:
        self._edge = edge
        self._stream = stream
        self._reader = MessageReader(edge.limits.message_bytes, encoding)
        self._messages: deque[bytes] = deque()  # that the method has not asked for yet
        self._unread = 0  # bytes of these messages
        self._held = 0  # bytes of which the tally knows
        self._ended = False  # the client will send no more
        self._over = False  # the call has its status, or nobody waits for one
        self._routine: Coroutine[Any, Any, None]  # the method
        self._parked: Any = None  # what the method waits for, without a task
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<StreamCall {self._stream!r} {len(self._messages)} unread>"

    # What the connection tells ---------------------------------------------------------------------------

    def start(self, method: Method, timeout: float | None) -> None:
        """Run the method to where it first waits. `timeout` in seconds is the client's."""
        self._routine = method(self)
        if timeout is not None:
            self._deadline = asyncio.get_running_loop().call_later(timeout, self._expire)
        self._step(self._routine.send, None)

    def received(self, data: bytes, start: int, end: int, ended: bool) -> None:
        """See `Receiver`. A method that waits for a message is handed it; others find it when they ask."""
        try:
            messages = self._reader.feed(data, start, end)
            if ended and self._reader.amid:
                raise CallError(GrpcStatus.INTERNAL, "the request ends amid a message")
        except CallError as fault:
            self.stop(fault.status, str(fault))
            return
        for message in messages:
            if self._parked is _READING:
                self._step(self._routine.send, message)
            else:
                self._messages.append(message)
                self._unread += len(message)
        self._ended = ended  # not before: a method that reads again would take it for the end
        if ended and self._parked is _READING:
            self._step(self._routine.send, None)
        if self._task is not None:
            self._wake()
        if self._unread or self._reader.pending or self._held:
            self._settle()

    def resumed(self) -> None:
        """See `Receiver`."""
        if self._parked is _WRITING:
            self._step(self._routine.send, None)
        elif self._task is not None:
            self._wake()

    def lost(self) -> None:
        """See `Receiver`."""
        self.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def stop(self, status: int, message: str) -> None:
        """End the call with this status whatever its method does, and cancel that."""
        self._finish(status, message)
        self.cancel()

    def cancel(self) -> None:
        """Nobody waits for the method any more."""
        self._leave()
        if self._task is not None:
            self._task.cancel()
        else:
            # The class and not an error: one that `_step` holds would hold `_step`'s frame by its traceback,
            # and such a ring for each call cost 22 us of garbage collection.
            self._step(self._routine.throw, asyncio.CancelledError)

    # What the method asks for ----------------------------------------------------------------------------

    @coroutine
    def read(self) -> Generator[Any, Any, bytes | None]:
        """See `Call`."""
        while not self._messages:
            if self._ended or self._over:
                return None
            if self._task is None:
                message: bytes | None = yield _READING
                return message
            yield from self._waited()
        message = self._messages.popleft()
        self._unread -= len(message)
        if self._task is not None:
            self._settle()
            self._edge.flush()
        return message

    @coroutine
    def write(self, messages: Sequence[bytes]) -> Generator[Any, Any, None]:
        """See `Call`."""
        edge, stream = self._edge, self._stream
        while stream.choked and not self._over:
            if self._task is None:
                yield _WRITING
            else:
                yield from self._waited()
        connection = edge.connection
        if not stream.answered:
            connection.respond(stream, RESPONSE)
        connection.send(stream, framed(messages))
        if edge.tally.buffered > edge.limits.buffered_bytes:
            edge.tally.limit_hit("buffered_bytes")
            raise CallError(GrpcStatus.RESOURCE_EXHAUSTED, _TOO_MUCH)
        edge.flush()

    def _waited(self) -> asyncio.Future[None]:
        """What a task waits for until there is news."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    # Running the method ----------------------------------------------------------------------------------

    def _step(self, resume: Callable[[Any], Any], argument: object) -> None:
        """Resume the method until it waits or is done."""
        self._parked = None
        try:
            waited_for = resume(argument)
        except StopIteration:
            self._finish(GrpcStatus.OK, "")
        except asyncio.CancelledError as error:
            self._fail(error)
        except Exception as error:  # the border: whatever breaks one stream breaks no other
            self._fail(error)
        else:
            if waited_for is _READING or waited_for is _WRITING:
                self._parked = waited_for
            else:
                rest = _rest(self._routine, waited_for)
                self._task = asyncio.get_running_loop().create_task(rest, name=f"call {self._stream.id}")
                self._task.add_done_callback(self._task_done)
                self._edge.keep(self._task)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._fail(asyncio.CancelledError())
        elif (error := task.exception()) is None:
            self._finish(GrpcStatus.OK, "")
        elif isinstance(error, Exception):
            self._fail(error)
        self._edge.flush()

    def _fail(self, error: Exception | asyncio.CancelledError) -> None:
        if isinstance(error, asyncio.CancelledError):
            # Nothing but `cancel` should, and then the call is over; if something did, the client must know.
            self._finish(GrpcStatus.UNAVAILABLE, "the endpoint picker gave the call up")
        else:
            self._finish(*self._edge.faults.status(error))

    def _finish(self, status: int, message: str) -> None:
        if not self._over:
            fields = trailers(status, message, alone=not self._stream.answered)
            self._edge.connection.end(self._stream, fields, unwanted=True)
            self._leave()

    def _leave(self) -> None:
        """The call is over: forget what was received, and give back what it held."""
        self._over = True
        self._stream.receiver = None
        self._messages.clear()
        self._unread = 0
        self._edge.tally.buffered -= self._held
        self._held = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        self.stop(GrpcStatus.DEADLINE_EXCEEDED, "the client's deadline has passed")
        self._edge.flush()

    # Bounds ----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Count what is held; a method that is far behind with reading gets no more for now."""
        if self._over:
            return
        edge, stream = self._edge, self._stream
        if self._unread > edge.limits.stream_window:
            stream.behind = True
        elif stream.behind:
            edge.connection.caught_up(stream)
        held = self._reader.pending + self._unread
        if held != self._held:
            edge.tally.buffered += held - self._held
            self._held = held
            if edge.tally.buffered > edge.limits.buffered_bytes:
                edge.tally.limit_hit("buffered_bytes")
                self.stop(GrpcStatus.RESOURCE_EXHAUSTED, _TOO_MUCH)


_TOO_MUCH = "the endpoint picker holds too many bytes for its streams"


@coroutine
def _rest(routine: Coroutine[Any, Any, None], waited_for: Any) -> Generator[Any, Any, None]:
    """The rest of a coroutine that has yielded `waited_for`, to be run as a task.

    The task is given what the coroutine waits for, and the coroutine what the task is told when that is over:
    that it goes on, or that it is cancelled.
    """
    while True:
        try:
            yield waited_for
        except BaseException as error:
            try:
                waited_for = routine.throw(error)
            except StopIteration:
                return
        else:
            yield from routine
            return
