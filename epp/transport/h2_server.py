"""The gRPC transport over our own HTTP/2: sockets around `epp.transport.h2`.

One `asyncio.Protocol` a connection: what one read brings is handled at once, up to a bound, and all that it
makes to be sent leaves in one write. While a peer does not read, nothing more of it is read, and data stays
queued.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import ParamSpec, cast

from epp.errors import GrpcStatus
from epp.transport.addresses import UNIX, bind_error, listening_socket
from epp.transport.calls import MESSAGE_SLACK, Faults, Method
from epp.transport.certificates import KeyPair
from epp.transport.h2.connection import Connection
from epp.transport.h2.grpc import CallError, Refusal, read_request, trailers
from epp.transport.h2.header_blocks import Fields
from epp.transport.h2.limits import Limits, Tally
from epp.transport.h2.stream import Stream
from epp.transport.h2_calls import StreamCall
from epp.transport.tls import server_context

# How often connections look at the time, in seconds: their deadlines are tens of seconds.
_TICK = 1.0

# After our last byte a peer gets this long to read it and close, in seconds. Closing with bytes unread would
# have the kernel reset the connection, and the peer might lose what we said last.
_LINGER = 1.0

# Of one read, what is handled before the event loop has its turn. A read may bring 256 KiB, which are some
# 140 small requests and 60 ms, and the first should not wait for its answer until the last is handled. Bytes.
_TURN = 1 << 16

# Written in one piece up to here: a copy of so much is cheaper than a second buffer for the kernel. Bytes.
_JOINED = 1 << 16


_clock = time.monotonic

_Arguments = ParamSpec("_Arguments")


class H2Server:
    """A gRPC server on one address.

    `address` is `host:port` (IPv6 in brackets, port 0 for any) or `unix:path`. `certificate` is asked for
    the pair to show at each handshake; None serves plaintext. `max_body_bytes` bounds a message together
    with MESSAGE_SLACK; a larger one ends its stream with RESOURCE_EXHAUSTED. `limit_hit` is called with the
    name of each bound (see `Limits`) that a peer runs into.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        address: str,
        *,
        certificate: Callable[[], KeyPair] | None,
        max_body_bytes: int,
        limit_hit: Callable[[str], object] = lambda name: None,
    ) -> None:
        self.address = address
        self.port = 0  # known after start()
        self.methods = methods
        self.faults = Faults()
        self.limits = Limits(
            message_bytes=max_body_bytes + MESSAGE_SLACK,
            buffered_bytes=4 * (max_body_bytes + MESSAGE_SLACK),
        )
        self.tally = Tally(limit_hit)
        self.connections: set[Edge] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.left = asyncio.Event()  # set whenever a connection goes
        self._certificate = certificate
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<H2Server {self.address} {len(self.connections)} connections>"

    async def start(self) -> None:
        """Listen and serve. Raises OSError with a message that names the address if that is not possible."""
        loop = asyncio.get_running_loop()
        context = None if self._certificate is None else server_context(self._certificate)
        if self.address.startswith(UNIX):
            path = self.address.removeprefix(UNIX)
            try:
                self._server = await loop.create_unix_server(self._open, path, ssl=context)
            except OSError as error:
                raise bind_error(self.address, error) from None
        else:
            listener = listening_socket(self.address)
            self.port = listener.getsockname()[1]
            self._server = await loop.create_server(self._open, sock=listener, ssl=context)
        self._ticker = loop.call_later(_TICK, self._tick)

    async def drain(self, grace: float) -> None:
        """Take no new streams, let open ones finish for up to `grace` seconds, then cancel the rest."""
        if self._server is not None:
            self._server.close()
        try:
            async with asyncio.timeout(grace):
                for edge in list(self.connections):
                    edge.drain()
                await self._all_left()
        except TimeoutError:
            for edge in list(self.connections):
                edge.stop()
            await self._all_left()
        if self._ticker is not None:
            self._ticker.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def _all_left(self) -> None:
        while self.connections:
            self.left.clear()
            await self.left.wait()

    def _open(self) -> asyncio.Protocol:
        return Edge(self)

    def _tick(self) -> None:
        for edge in list(self.connections):
            edge.tick()
        self._ticker = asyncio.get_running_loop().call_later(_TICK, self._tick)


class Edge(asyncio.Protocol):
    """One connection at its socket."""

    def __init__(self, server: H2Server) -> None:
        self._server = server
        self.limits = server.limits
        self.tally = server.tally
        self.faults = server.faults
        self.connection = Connection(server.limits, server.tally, _clock(), self._request)
        self._transport: asyncio.Transport
        self._busy = False  # what is made to be sent will be written when the events are through
        self._closing: asyncio.TimerHandle | None = None
        self._rest = b""  # of a long read, to be handled in the next turns; reading is paused until then
        self._held = False  # the peer reads more slowly than we write

    def __repr__(self) -> str:
        return f"<Edge {self.connection!r}>"

    # What the event loop tells ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come, and its TLS handshake is done."""
        # uvloop's transports have asyncio's methods and not its classes.
        self._transport = transport = cast(asyncio.Transport, transport)
        if len(self._server.connections) >= self.limits.connections:
            self.tally.limit_hit("connections")
            transport.abort()
            return
        self._server.connections.add(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Bytes have come: handle what they mean, then write all answers at once."""
        if len(data) > _TURN:
            data, self._rest = data[:_TURN], data[_TURN:]
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)
        self._act(self.connection.receive, data, _clock())

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        self._held = True
        self.connection.hold(True, _clock())
        if self._closing is None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._held = False
        if not self._rest:
            self._transport.resume_reading()
        self._act(self.connection.hold, False, _clock())

    def eof_received(self) -> bool:
        """The client will send no more: HTTP/2 has no use for half a connection."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone, and whoever waits on it need not."""
        self._busy = True  # there is nobody to write to
        self.connection.abandon()
        self._server.connections.discard(self)
        self._server.left.set()
        if self._closing is not None:
            self._closing.cancel()

    # What the server tells -------------------------------------------------------------------------------

    def tick(self) -> None:
        """Some time has passed."""
        self._act(self.connection.tick, _clock())

    def drain(self) -> None:
        """Take no new streams, and close when the open ones are done."""
        self.connection.drain(_clock())
        self.flush()

    def stop(self) -> None:
        """End every call and close."""
        for stream in self.connection.streams:
            if isinstance(stream.receiver, StreamCall):
                stream.receiver.stop(GrpcStatus.UNAVAILABLE, "the endpoint picker stops")
        self.flush()
        self._transport.close()
        # A peer that reads nothing would keep what is still to be written, and the connection with it.
        self._linger()

    # What calls tell -------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what the connection has to send."""
        if self._busy:
            return
        output = self.connection.take_output()
        if output:
            if len(output) == 1:
                self._transport.write(output[0])
            elif sum(map(len, output)) <= _JOINED:
                self._transport.write(b"".join(output))
            else:
                self._transport.writelines(output)
        if self.connection.closed and self._closing is None:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
            self._linger()

    def keep(self, task: asyncio.Task[None]) -> None:
        """Own a task until it is done."""
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _linger(self) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)

    # What happens ----------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """The next turn of a long read."""
        data, self._rest = self._rest[:_TURN], self._rest[_TURN:]
        if self._rest:
            asyncio.get_running_loop().call_soon(self._go_on)
        elif not self._held and not self._transport.is_closing():
            self._transport.resume_reading()
        if not self.connection.closed:
            self._act(self.connection.receive, data, _clock())

    def _act(
        self, act: Callable[_Arguments, None], *args: _Arguments.args, **more: _Arguments.kwargs
    ) -> None:
        """Do something with the connection; all that it makes to be sent leaves in one write."""
        self._busy = True
        try:
            act(*args, **more)
        finally:
            self._busy = False
        self.flush()

    def _request(self, stream: Stream, fields: Fields, ended: bool) -> None:
        """A request has come: start its method, or refuse it."""
        try:
            request = read_request(fields)
            if isinstance(request, Refusal):
                self._refuse(stream, request)
                return
            method = self._server.methods.get(request.path)
            if method is None:
                raise CallError(GrpcStatus.UNIMPLEMENTED, "the endpoint picker has no such method")
        except CallError as fault:
            status = trailers(fault.status, str(fault), alone=True)
            self.connection.end(stream, status, unwanted=True)
            return
        stream.receiver = call = StreamCall(self, stream, request.encoding)
        call.start(method, request.timeout)
        if ended and stream.receiver is call:
            call.received(b"", 0, 0, True)

    def _refuse(self, stream: Stream, refusal: Refusal) -> None:
        stream.receiver = _UNREAD
        self.connection.respond(stream, refusal.fields)
        if refusal.body:
            self.connection.send(stream, [refusal.body])
        self.connection.end(stream)


class _Unread:
    """Receives what nobody reads: credit is given for it, so that a client comes to its end and hears why."""

    def received(self, data: bytes, start: int, end: int, ended: bool) -> None:
        pass

    def resumed(self) -> None:
        pass

    def lost(self) -> None:
        pass


_UNREAD = _Unread()
