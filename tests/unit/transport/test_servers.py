"""Both servers against real gRPC clients: Envoy's own stubs, over TCP, TLS and a Unix socket."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvloop
from envoy.service.ext_proc.v3 import external_processor_pb2 as envoy
from envoy.service.ext_proc.v3.external_processor_pb2_grpc import ExternalProcessorStub

from epp.errors import GrpcStatus, ProtocolError
from epp.transport.calls import Call, Method
from epp.transport.certificates import CertificateFiles, KeyPair
from epp.transport.ext_proc import ext_proc_methods
from epp.transport.grpcio_server import GrpcioServer
from epp.transport.h2_server import H2Server
from epp.transport.self_signed import own_addresses, own_names, self_signed
from epp.wire.messages import (
    Answer,
    HttpBody,
    HttpHeaders,
    ImmediateResponse,
    Message,
    StreamedBody,
    TrailersAnswer,
)

PATIENCE = 10.0  # seconds that a condition may take here
MEGABYTE = 1 << 20

HEADERS = envoy.ProcessingRequest(request_headers={})  # type: ignore[arg-type]
TRAILERS = envoy.ProcessingRequest(response_trailers={})  # type: ignore[arg-type]


def body(data: bytes) -> envoy.ProcessingRequest:
    return envoy.ProcessingRequest(request_body={"body": data, "end_of_stream": True})  # type: ignore[arg-type]


# Which of the two a test runs against.
SERVERS = {"grpcio": GrpcioServer, "h2": H2Server}
server_class: ContextVar[type[GrpcioServer] | type[H2Server]] = ContextVar("server_class")


@pytest.fixture(autouse=True, params=SERVERS)
def _each_server(request: pytest.FixtureRequest) -> Iterator[None]:
    token = server_class.set(SERVERS[request.param])
    yield
    server_class.reset(token)


class Waiting:
    """A conversation that never answers, and tells what happens to it."""

    def __init__(self) -> None:
        self.ended = False
        self.received = asyncio.Event()
        self.closed = asyncio.Event()
        self.close_calls = 0

    async def receive(self, message: Message) -> Sequence[Answer]:
        self.received.set()
        await asyncio.Event().wait()
        raise AssertionError

    def close(self) -> None:
        self.close_calls += 1
        self.closed.set()


class Replying:
    """A conversation that answers by a function of the message."""

    def __init__(self, reply: Callable[[Message], Sequence[Answer]]) -> None:
        self.ended = False
        self.closed = asyncio.Event()
        self._reply = reply

    async def receive(self, message: Message) -> Sequence[Answer]:
        answers = self._reply(message)
        self.ended = any(isinstance(answer, ImmediateResponse) for answer in answers)
        return answers

    def close(self) -> None:
        self.closed.set()


def echo(message: Message) -> Sequence[Answer]:
    if isinstance(message, HttpBody):
        return (StreamedBody(message.phase, message.data, message.end_of_stream),)
    return () if isinstance(message, HttpHeaders) else (TrailersAnswer(message.phase),)


@asynccontextmanager
async def serving(
    methods: Mapping[str, Method],
    address: str = "127.0.0.1:0",
    *,
    certificate: Callable[[], KeyPair] | None = None,
    max_body_bytes: int = 64 * MEGABYTE,
) -> AsyncIterator[GrpcioServer | H2Server]:
    server = server_class.get()(methods, address, certificate=certificate, max_body_bytes=max_body_bytes)
    await server.start()
    try:
        yield server
    finally:
        await server.drain(0)


@asynccontextmanager
async def talking(
    conversation: Any, *, max_body_bytes: int = 64 * MEGABYTE
) -> AsyncIterator[tuple[GrpcioServer | H2Server, grpc.aio.StreamStreamCall[Any, Any]]]:
    """A server that has this conversation, and a stream to it."""
    methods = ext_proc_methods(lambda: conversation)
    async with (
        serving(methods, max_body_bytes=max_body_bytes) as server,
        grpc.aio.insecure_channel(
            f"127.0.0.1:{server.port}", options=[("grpc.max_receive_message_length", -1)]
        ) as channel,
        asyncio.timeout(PATIENCE),
    ):
        yield server, ExternalProcessorStub(channel).Process()


async def test_a_dialogue() -> None:
    conversation = Replying(echo)
    async with talking(conversation) as (_, stream):
        await stream.write(HEADERS)
        await stream.write(body(b"{}"))
        answer = await stream.read()
        assert answer.request_body.response.body_mutation.streamed_response.body == b"{}"
        await stream.write(TRAILERS)
        assert (await stream.read()).WhichOneof("response") == "response_trailers"
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
        await conversation.closed.wait()


async def test_immediate_response_ends_the_stream_with_ok() -> None:
    conversation = Replying(lambda _: (ImmediateResponse(429, body=b"later"),))
    async with talking(conversation) as (_, stream):
        await stream.write(HEADERS)
        answer = await stream.read()
        assert answer.immediate_response.body == b"later"
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
        await conversation.closed.wait()


def refuse(_: Message) -> Sequence[Answer]:
    raise ProtocolError("body before headers")


def refuse_size(_: Message) -> Sequence[Answer]:
    error = ProtocolError("the body is too large")
    error.status = GrpcStatus.RESOURCE_EXHAUSTED
    raise error


def break_down(_: Message) -> Sequence[Answer]:
    raise KeyError("a secret prompt")


@pytest.mark.parametrize(
    ("reply", "code", "details"),
    [
        (refuse, grpc.StatusCode.INVALID_ARGUMENT, "body before headers"),
        (refuse_size, grpc.StatusCode.RESOURCE_EXHAUSTED, "the body is too large"),
        (break_down, grpc.StatusCode.INTERNAL, "internal error of the endpoint picker"),
    ],
)
async def test_errors_become_a_status(
    reply: Callable[[Message], Sequence[Answer]], code: grpc.StatusCode, details: str
) -> None:
    conversation = Replying(reply)
    async with talking(conversation) as (_, stream):
        await stream.write(HEADERS)
        assert (await stream.code(), await stream.details()) == (code, details)
        await conversation.closed.wait()


async def test_broken_stream_harms_no_other() -> None:
    conversations = iter((Replying(break_down), Replying(echo)))
    methods = ext_proc_methods(lambda: next(conversations))
    async with (
        serving(methods) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        asyncio.timeout(PATIENCE),
    ):
        stub = ExternalProcessorStub(channel)
        broken = stub.Process()
        await broken.write(HEADERS)
        assert await broken.code() is grpc.StatusCode.INTERNAL
        healthy = stub.Process()
        await healthy.write(TRAILERS)
        assert (await healthy.read()).WhichOneof("response") == "response_trailers"


async def test_bytes_that_are_no_message() -> None:
    conversation = Replying(echo)
    methods = ext_proc_methods(lambda: conversation)
    async with (
        serving(methods) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        asyncio.timeout(PATIENCE),
    ):
        stream: Any = channel.stream_stream("/envoy.service.ext_proc.v3.ExternalProcessor/Process")()
        await stream.write(b"\xff\xff")
        assert await stream.code() is grpc.StatusCode.INVALID_ARGUMENT
        await conversation.closed.wait()


async def test_client_that_cancels_closes_a_conversation_that_waits() -> None:
    conversation = Waiting()
    async with talking(conversation) as (_, stream):
        await stream.write(HEADERS)
        await conversation.received.wait()
        stream.cancel()
        await conversation.closed.wait()
    assert conversation.close_calls == 1


async def test_client_that_goes_away_closes_a_conversation_that_waits() -> None:
    conversation = Waiting()
    methods = ext_proc_methods(lambda: conversation)
    async with serving(methods) as server, asyncio.timeout(PATIENCE):
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        stream = ExternalProcessorStub(channel).Process()
        await stream.write(HEADERS)
        await conversation.received.wait()
        await channel.close()
        await conversation.closed.wait()
    assert conversation.close_calls == 1


async def test_deadline_closes_a_conversation_that_waits() -> None:
    conversation = Waiting()
    methods = ext_proc_methods(lambda: conversation)
    async with (
        serving(methods) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        asyncio.timeout(PATIENCE),
    ):
        stream = ExternalProcessorStub(channel).Process(timeout=0.05)
        await stream.write(HEADERS)
        assert await stream.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await conversation.closed.wait()
    assert conversation.close_calls == 1


async def test_sixty_megabytes_in_one_message() -> None:
    data = b"x" * (60 * MEGABYTE)
    async with talking(Replying(echo)) as (_, stream):
        await stream.write(body(data))
        answer = await stream.read()
        assert answer.request_body.response.body_mutation.streamed_response.body == data


async def test_message_over_the_limit() -> None:
    conversation = Replying(echo)
    async with talking(conversation, max_body_bytes=MEGABYTE) as (_, stream):
        # Over the body's limit by little: the conversation sees it and can answer 413.
        await stream.write(body(b"x" * (MEGABYTE + 1)))
        assert len((await stream.read()).SerializeToString()) > MEGABYTE
        await stream.write(body(b"x" * (16 * MEGABYTE)))
        assert await stream.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await conversation.closed.wait()


async def test_unknown_method() -> None:
    async with (
        serving({}) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        asyncio.timeout(PATIENCE),
    ):
        call = ExternalProcessorStub(channel).Process()
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_thousand_streams_at_once() -> None:
    open_streams = 1000
    conversations = [Waiting() for _ in range(open_streams)]
    unopened = iter(conversations)
    methods = ext_proc_methods(lambda: next(unopened))
    async with (
        serving(methods) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        asyncio.timeout(4 * PATIENCE),
    ):
        stub = ExternalProcessorStub(channel)
        streams = [stub.Process() for _ in range(open_streams)]
        for stream in streams:
            await stream.write(HEADERS)
        for conversation in conversations:
            await conversation.received.wait()
        for stream in streams:
            stream.cancel()
        for conversation in conversations:
            await conversation.closed.wait()
    assert {conversation.close_calls for conversation in conversations} == {1}


async def test_unix_socket(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/epp.sock"
    async with (
        serving(ext_proc_methods(lambda: Replying(echo)), address),
        grpc.aio.insecure_channel(address) as channel,
        asyncio.timeout(PATIENCE),
    ):
        stream = ExternalProcessorStub(channel).Process()
        await stream.write(TRAILERS)
        assert (await stream.read()).WhichOneof("response") == "response_trailers"


# Addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "[::]"])
async def test_taken_port_is_named(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = server_class.get()({}, f"{host}:{port}", certificate=None, max_body_bytes=MEGABYTE)
        with pytest.raises(OSError, match=f"port {port} is taken") as caught:
            await server.start()
        assert caught.value.errno == errno.EADDRINUSE
        await server.drain(0)


async def test_second_server_on_the_port_is_refused() -> None:
    async with serving({}) as first:
        second = server_class.get()({}, f"127.0.0.1:{first.port}", certificate=None, max_body_bytes=MEGABYTE)
        with pytest.raises(OSError, match=f"port {first.port} is taken"):
            await second.start()
        await second.drain(0)


async def test_address_of_another_host_is_named() -> None:
    server = server_class.get()({}, "192.0.2.1:9002", certificate=None, max_body_bytes=MEGABYTE)
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:9002: Cannot assign"):
        await server.start()
    await server.drain(0)


# Drain


async def test_drain_lets_open_streams_finish() -> None:
    release = asyncio.Event()
    received = asyncio.Event()

    async def method(call: Call) -> None:
        await call.read()
        received.set()
        await release.wait()
        await call.write([b"done"])

    async with (
        serving({"/test/Method": method}) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        asyncio.timeout(PATIENCE),
    ):
        stream: Any = channel.stream_stream("/test/Method")()
        await stream.write(b"go")
        await received.wait()
        draining = asyncio.create_task(server.drain(PATIENCE), name="drain")
        await _until_refused(server.port)
        assert not draining.done()
        release.set()
        assert await stream.read() == b"done"
        assert await stream.code() is grpc.StatusCode.OK
        await draining


async def _until_refused(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0.01)


async def test_drain_ends_what_does_not_finish() -> None:
    conversation = Waiting()
    async with talking(conversation) as (server, stream):
        await stream.write(HEADERS)
        await conversation.received.wait()
        await server.drain(0.05)
        await conversation.closed.wait()
        assert await stream.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert conversation.close_calls == 1


# TLS


def make_pair() -> KeyPair:
    return self_signed(own_names(), own_addresses(), datetime.now(UTC))


async def exchange_over_tls(target: str, trusted: bytes) -> None:
    """One exchange with a client that verifies the server's certificate and its name."""
    async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(trusted)) as channel:
        stream = ExternalProcessorStub(channel).Process(timeout=PATIENCE)
        await stream.write(TRAILERS)
        assert (await stream.read()).WhichOneof("response") == "response_trailers"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_client_verifies_the_self_signed_certificate(host: str) -> None:
    pair = make_pair()
    methods = ext_proc_methods(lambda: Replying(echo))
    async with serving(methods, certificate=lambda: pair) as server:
        await exchange_over_tls(f"{host}:{server.port}", pair.certificate)


async def shown_by(port: int) -> tuple[bytes, str | None]:
    """The certificate (DER) and the protocol that a new TLS connection gets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    connection = writer.get_extra_info("ssl_object")
    shown = connection.getpeercert(binary_form=True), connection.selected_alpn_protocol()
    writer.transport.abort()
    return shown


async def test_new_certificate_is_shown_to_new_connections(tmp_path: Path) -> None:
    def write(pair: KeyPair) -> None:
        (tmp_path / "tls.crt").write_bytes(pair.certificate)
        (tmp_path / "tls.key").write_bytes(pair.key)

    first, second = make_pair(), make_pair()
    write(first)
    files = CertificateFiles(tmp_path)
    methods = ext_proc_methods(lambda: Replying(echo))
    async with serving(methods, certificate=files.current) as server, asyncio.timeout(PATIENCE):
        target = f"127.0.0.1:{server.port}"
        await exchange_over_tls(target, first.certificate)
        assert await shown_by(server.port) == (ssl.PEM_cert_to_DER_cert(first.certificate.decode()), "h2")

        write(second)
        await exchange_over_tls(target, second.certificate)
        assert await shown_by(server.port) == (ssl.PEM_cert_to_DER_cert(second.certificate.decode()), "h2")

        (tmp_path / "tls.key").write_bytes(b"broken")
        await exchange_over_tls(target, second.certificate)


async def test_plaintext_client_at_the_tls_port() -> None:
    pair = make_pair()
    methods = ext_proc_methods(lambda: Replying(echo))
    async with serving(methods, certificate=lambda: pair) as server:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stream = ExternalProcessorStub(channel).Process(timeout=PATIENCE)
            assert await stream.code() is grpc.StatusCode.UNAVAILABLE
        await exchange_over_tls(f"127.0.0.1:{server.port}", pair.certificate)


# Event loops


def test_the_same_over_uvloop() -> None:
    dialogues: Sequence[Callable[[], Awaitable[None]]] = (
        test_a_dialogue,
        test_client_that_cancels_closes_a_conversation_that_waits,
        test_drain_lets_open_streams_finish,
    )

    async def main() -> None:
        for dialogue in dialogues:
            await dialogue()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
