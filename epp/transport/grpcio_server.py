"""The gRPC transport over grpc.aio: a server for the methods that it is given. Nothing else imports grpc."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import grpc

from epp.transport.addresses import UNIX, bind_error, listening_socket
from epp.transport.calls import MESSAGE_SLACK, Faults, Method
from epp.transport.certificates import KeyPair

# Every gRPC status by its number.
_STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

_Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcioServer:
    """A gRPC server on one address.

    `address` is `host:port` (IPv6 in brackets, port 0 for any) or `unix:path`. `certificate` is asked for
    the pair to show at each handshake; None serves plaintext. `max_body_bytes` bounds a message together
    with MESSAGE_SLACK; a larger one ends its stream with RESOURCE_EXHAUSTED.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        address: str,
        *,
        certificate: Callable[[], KeyPair] | None,
        max_body_bytes: int,
    ) -> None:
        self.address = address
        self.port = 0  # known after start()
        self._certificate = certificate
        self._server = grpc.aio.server(
            handlers=[_Handlers(methods)], options=_options(max_body_bytes + MESSAGE_SLACK)
        )

    async def start(self) -> None:
        """Listen and serve. Raises OSError with a message that names the address if that is not possible."""
        try:
            if self._certificate is None:
                self.port = self._server.add_insecure_port(self.address)
            else:
                self.port = self._server.add_secure_port(self.address, _credentials(self._certificate))
        except RuntimeError:
            raise _why(self.address) from None  # grpc's own says no more than that it failed
        await self._server.start()

    async def drain(self, grace: float) -> None:
        """Take no new streams, let open ones finish for up to `grace` seconds, then cancel the rest."""
        await self._server.stop(grace)


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # a second picker on the port is an error, not half of the streams
        # A gateway that vanished (no FIN came) gives its requests back after 40 s, not after the 2 h default.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Gateways ping as often as they are configured to; grpc would close the connection on the third ping
        # within 5 minutes of silence.
        ("grpc.http2.max_ping_strikes", 0),
    ]


class _Handlers(grpc.GenericRpcHandler):
    """Finds the method of a path; grpc answers UNIMPLEMENTED where there is none."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        faults = Faults()
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            path: grpc.stream_stream_rpc_method_handler(partial(_serve, method, faults))
            for path, method in methods.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method)


async def _serve(method: Method, faults: Faults, _: AsyncIterator[bytes], context: _Context) -> None:
    """Run one call. grpc cancels this when the client resets the stream or goes away."""
    try:
        await method(_Call(context))
    except Exception as error:  # the border: whatever breaks one stream breaks no other
        status, message = faults.status(error)
        context.set_code(_STATUS_CODES[status])
        context.set_details(message)


class _Call:
    """`epp.transport.calls.Call` over grpc.aio."""

    def __init__(self, context: _Context) -> None:
        self._context = context

    async def read(self) -> bytes | None:
        message: Any = await self._context.read()
        return None if message is grpc.aio.EOF else message

    async def write(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            await self._context.write(message)


def _credentials(certificate: Callable[[], KeyPair]) -> grpc.ServerCredentials:
    """Credentials that follow `certificate()`: grpc calls back, in a thread of its own, at each handshake."""
    shown = certificate()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        pair = certificate()
        if pair is shown:
            return None  # what grpc has stands
        shown = pair
        return _configuration(pair)

    # The stubs leave out that the callback may return None.
    return grpc.dynamic_ssl_server_credentials(_configuration(shown), fetch)  # type: ignore[arg-type]


def _configuration(pair: KeyPair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.certificate)])


def _why(address: str) -> OSError:
    """Why `address` cannot be listened on, found by trying it."""
    try:
        if not address.startswith(UNIX):
            listening_socket(address).close()
    except OSError as error:
        return error
    return bind_error(address, OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)))
