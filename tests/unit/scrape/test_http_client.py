"""The scrape client against real servers on the loopback: aiohttp's, and scripted ones that answer badly."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from epp.scrape import http_client
from epp.scrape.http_client import HttpConnection, ScrapeError, ScrapeFailure, connector

PAGE = b"vllm:num_requests_waiting 5\n"
OK = b"HTTP/1.1 200 OK\r\n"
PATIENCE = 10.0  # seconds: far longer than anything takes here that is not meant to time out

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def aiohttp_server(
    handler: Handler, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpConnection]:
    """A connection to a server that answers with `handler`."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    connection = connector("https" if tls else "http", True)("127.0.0.1", runner.addresses[0][1])
    try:
        yield connection
    finally:
        connection.close()
        await runner.cleanup()


@asynccontextmanager
async def socket_server(serve: Serve) -> AsyncIterator[int]:
    """The port of a server that runs `serve` for each connection; at the end every one of them has ended."""
    conversations: list[asyncio.Task[None]] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.create_task(converse(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*conversations)


class ScriptedServer:
    """Answers the n-th request, over all connections, with the n-th piece; an empty piece closes unanswered.

    The last piece is repeated. After a piece the connection is closed unless `keep` is set.
    """

    def __init__(self, *pieces: bytes, keep: bool = False) -> None:
        self.pieces = list(pieces)
        self.keep = keep
        self.requests: list[bytes] = []
        self.connections = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            piece = self.pieces.pop(0) if len(self.pieces) > 1 else self.pieces[0]
            writer.write(piece)
            await writer.drain()
            if not piece or not self.keep:
                return

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[HttpConnection]:
        async with socket_server(self._serve) as port:
            connection = HttpConnection("127.0.0.1", port)
            try:
                yield connection
            finally:
                connection.close()


async def failure(connection: HttpConnection, timeout: float = PATIENCE) -> ScrapeFailure:
    with pytest.raises(ScrapeError) as caught:
        await connection.get("/metrics", timeout)
    assert "closed" in repr(connection)
    return caught.value.kind


def sized(body: bytes, *headers: bytes) -> bytes:
    lines = [b"Content-Length: %d" % len(body), *headers]
    return OK + b"\r\n".join(lines) + b"\r\n\r\n" + body


# Answers --------------------------------------------------------------------------------------------------


async def test_gets_the_page_again_and_again_over_one_connection() -> None:
    peers: list[object] = []
    requests: list[tuple[str, str, dict[str, str]]] = []

    async def handler(request: web.Request) -> web.Response:
        peers.append(request.transport and request.transport.get_extra_info("peername"))
        requests.append((request.method, request.path_qs, dict(request.headers)))
        return web.Response(body=PAGE)

    async with aiohttp_server(handler) as connection:
        for _ in range(5):
            assert await connection.get("/metrics?all=1", PATIENCE) == PAGE
        port = connection.port
    assert len(set(peers)) == 1
    assert connection.opened == 1
    method, path, headers = requests[0]
    assert (method, path, headers["Host"]) == ("GET", "/metrics?all=1", f"127.0.0.1:{port}")
    assert headers["Accept-Encoding"] == "identity"


async def test_a_chunked_body() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for byte in PAGE:
            await response.write(bytes([byte]))
        return response

    async with aiohttp_server(handler) as connection:
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert connection.opened == 1


@pytest.mark.parametrize("version", [b"HTTP/1.0 200 OK\r\n", OK])
async def test_a_body_that_ends_with_the_connection(version: bytes) -> None:
    server = ScriptedServer(version + b"Content-Type: text/plain\r\n\r\n" + PAGE)
    async with server.connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert await connection.get("/metrics", PATIENCE) == PAGE
    assert server.connections == 2


async def test_a_server_that_closes_after_each_answer_is_connected_to_again() -> None:
    server = ScriptedServer(sized(PAGE, b"Connection: close"))
    async with server.connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert await connection.get("/metrics", PATIENCE) == PAGE
    assert server.connections == connection.opened == 2


async def test_a_server_that_says_it_closes_is_not_asked_again_on_that_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sized(PAGE, b"Connection: close"))
        await reader.read()  # and does not close

    async with socket_server(serve) as port:
        connection = HttpConnection("127.0.0.1", port)
        for opened in (1, 2, 3):
            assert await connection.get("/metrics", PATIENCE) == PAGE
            assert connection.opened == opened


async def test_how_a_body_ends_holds_for_its_answer_alone() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sized(PAGE))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"\r\n" + PAGE + PAGE)

    async with socket_server(serve) as port:
        connection = HttpConnection("127.0.0.1", port)
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert await connection.get("/metrics", PATIENCE) == PAGE + PAGE
        assert connection.opened == 1
        connection.close()


async def test_the_bound_is_for_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 10 * len(PAGE))
    async with ScriptedServer(sized(PAGE), keep=True).connection() as connection:
        for _ in range(20):
            assert await connection.get("/metrics", PATIENCE) == PAGE
        assert connection.opened == 1


async def test_a_kept_connection_that_the_server_gave_up_is_no_failure() -> None:
    server = ScriptedServer(sized(PAGE), b"", sized(PAGE), keep=True)
    async with server.connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert await connection.get("/metrics", PATIENCE) == PAGE
    assert server.connections == 2
    assert len(server.requests) == 3


async def test_an_empty_page_is_a_page() -> None:
    async with ScriptedServer(sized(b"")).connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == b""


async def test_provisional_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with ScriptedServer(early + sized(PAGE)).connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == PAGE


async def test_what_comes_unasked_is_never_taken_for_an_answer() -> None:
    server = ScriptedServer(sized(PAGE) + sized(b"forged 1\n"), sized(PAGE), keep=True)
    async with server.connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert await connection.get("/metrics", PATIENCE) == PAGE
    assert server.connections == 2


async def test_ipv6() -> None:
    hosts: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.Response(body=PAGE)

    server = web.Server(handler)  # type: ignore[arg-type]
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "::1", 0).start()
    port = runner.addresses[0][1]
    connection = HttpConnection("::1", port)
    try:
        assert await connection.get("/metrics", PATIENCE) == PAGE
    finally:
        connection.close()
        await runner.cleanup()
    assert hosts == [f"[::1]:{port}"]
    assert repr(connection) == f"<HttpConnection [::1]:{port} closed opened=1>"


# Encodings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip", b"GZIP"])
async def test_gzip_is_undone_though_not_asked_for(encoding: bytes) -> None:
    answer = sized(gzip.compress(PAGE), b"Content-Encoding: " + encoding)
    async with ScriptedServer(answer, keep=True).connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert connection.opened == 1


async def test_an_encoding_holds_for_its_answer_alone() -> None:
    server = ScriptedServer(sized(gzip.compress(PAGE), b"Content-Encoding: gzip"), sized(PAGE), keep=True)
    async with server.connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert await connection.get("/metrics", PATIENCE) == PAGE


@pytest.mark.parametrize(
    ("body", "encoding", "kind"),
    [
        (gzip.compress(bytes(http_client.MAX_INFLATED_BYTES + 1)), b"gzip", ScrapeFailure.TOO_LARGE),
        (gzip.compress(bytes(200_000_000), 1), b"gzip", ScrapeFailure.TOO_LARGE),
        (gzip.compress(PAGE)[:-9], b"gzip", ScrapeFailure.ENCODING),
        (b"", b"gzip", ScrapeFailure.ENCODING),
        (PAGE, b"gzip", ScrapeFailure.ENCODING),
        (PAGE, b"br", ScrapeFailure.ENCODING),
        (PAGE, b"gzip, gzip", ScrapeFailure.ENCODING),
    ],
    ids=["just too large", "bomb", "cut off", "nothing", "not gzip", "brotli", "twice"],
)
async def test_an_encoding_that_cannot_be_undone(body: bytes, encoding: bytes, kind: ScrapeFailure) -> None:
    async with ScriptedServer(sized(body, b"Content-Encoding: " + encoding)).connection() as connection:
        assert await failure(connection) is kind


async def test_gzip_of_just_the_permitted_size() -> None:
    page = bytes(http_client.MAX_INFLATED_BYTES)
    async with ScriptedServer(
        sized(gzip.compress(page), b"Content-Encoding: gzip")
    ).connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == page


# Failures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status",
    ["201 Created", "204 No Content", "301 Moved", "302 Found", "404 Not Found", "503 Busy", "101 Switching"],
)
async def test_any_status_but_200_is_a_failure(status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    server = ScriptedServer(answer)
    async with server.connection() as connection:
        assert await failure(connection) is ScrapeFailure.STATUS
    assert len(server.requests) == 1


async def test_the_body_of_a_failure_is_not_waited_for() -> None:
    server = ScriptedServer(b"HTTP/1.1 500 Oops\r\nContent-Length: 99999999\r\n\r\n", keep=True)
    async with server.connection() as connection:
        assert await failure(connection) is ScrapeFailure.STATUS


@pytest.mark.parametrize(
    "answer",
    [
        sized(PAGE)[:-5],
        OK,
        b"HTTP/1.1",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1c\r\n" + PAGE[:-5],
        OK + b"Transfer-Encoding: chunked\r\n\r\n1c\r\n" + PAGE + b"\r\n",
    ],
)
async def test_an_answer_that_is_cut_off(answer: bytes) -> None:
    async with ScriptedServer(answer).connection() as connection:
        assert await failure(connection) is ScrapeFailure.CLOSED


async def test_a_server_that_closes_without_a_word() -> None:
    server = ScriptedServer(b"")
    async with server.connection() as connection:
        assert await failure(connection) is ScrapeFailure.CLOSED
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x03\x00\x02\x02\x16",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"<html></html>\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
async def test_what_is_not_http(answer: bytes) -> None:
    async with ScriptedServer(answer).connection() as connection:
        assert await failure(connection) is ScrapeFailure.MALFORMED


async def test_a_page_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 1_000_000)
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(PAGE * 1000)
            sent += len(PAGE) * 1000

    async with aiohttp_server(handler) as connection:
        assert await failure(connection) is ScrapeFailure.TOO_LARGE
    assert sent < 100_000_000


async def test_headers_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 100_000)
    async with ScriptedServer(OK + b"X-Header: value\r\n" * 10_000).connection() as connection:
        assert await failure(connection) in (ScrapeFailure.TOO_LARGE, ScrapeFailure.MALFORMED)


async def test_a_large_page_within_the_bound() -> None:
    page = PAGE * 100_000
    async with ScriptedServer(sized(page)).connection() as connection:
        assert await connection.get("/metrics", PATIENCE) == page


async def test_nobody_listens() -> None:
    async with ScriptedServer(b"").connection() as connection:
        pass
    assert await failure(connection) is ScrapeFailure.CONNECT


@pytest.mark.parametrize("begun", [b"", OK, sized(PAGE)[:-5]], ids=["silent", "head", "half a body"])
async def test_a_server_that_hangs_is_given_up_and_asked_anew(begun: bytes) -> None:
    hung = asyncio.Event()
    answers = [begun, sized(PAGE)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        if answers:
            await reader.read()  # until the client gives up
            hung.set()

    async with socket_server(serve) as port:
        connection = HttpConnection("127.0.0.1", port)
        assert await failure(connection, timeout=0.05) is ScrapeFailure.TIMEOUT
        await hung.wait()
        assert await connection.get("/metrics", PATIENCE) == PAGE
        connection.close()


@pytest.mark.parametrize(("first", "second"), [(3600.0, 0.05), (0.05, 0.1)])
async def test_each_get_has_its_own_deadline(first: float, second: float) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sized(PAGE))
        await reader.read()  # until the client gives up

    async with socket_server(serve) as port:
        connection = HttpConnection("127.0.0.1", port)
        loop = asyncio.get_running_loop()
        assert await connection.get("/metrics", first) == PAGE
        began = loop.time()
        assert await failure(connection, timeout=second) is ScrapeFailure.TIMEOUT
        assert loop.time() - began >= second - 0.001
        assert connection.opened == 1


async def test_a_get_that_is_cancelled_leaves_no_half_answer_behind() -> None:
    asked = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        if not asked.is_set():
            asked.set()
            await asyncio.Event().wait()
        return web.Response(body=PAGE)

    async with aiohttp_server(handler) as connection:
        get = asyncio.create_task(connection.get("/metrics", PATIENCE))
        await asked.wait()
        get.cancel()
        await asyncio.wait([get])
        assert get.cancelled()
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert connection.opened == 2


# TLS ------------------------------------------------------------------------------------------------------


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "both.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def page(request: web.Request) -> web.Response:
    return web.Response(body=PAGE)


async def test_tls_without_verification(self_signed: ssl.SSLContext) -> None:
    async with aiohttp_server(page, self_signed) as connection:
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert await connection.get("/metrics", PATIENCE) == PAGE
        assert connection.opened == 1


async def test_tls_with_verification_refuses_a_stranger(self_signed: ssl.SSLContext) -> None:
    async with aiohttp_server(page, self_signed) as connection:
        strict = connector("https", insecure_skip_verify=False)("127.0.0.1", connection.port)
        assert await failure(strict) is ScrapeFailure.TLS


async def test_tls_to_a_server_that_has_none() -> None:
    async with aiohttp_server(page) as connection:
        https = connector("https", True)("127.0.0.1", connection.port)
        assert await failure(https) in (ScrapeFailure.TLS, ScrapeFailure.CONNECT)


async def test_a_handshake_that_hangs_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with socket_server(silent) as port:
        connection = connector("https", True)("127.0.0.1", port)
        assert await failure(connection, timeout=0.05) is ScrapeFailure.TIMEOUT


def test_there_is_no_third_scheme() -> None:
    with pytest.raises(ValueError, match="'ftp' is neither http nor https"):
        connector("ftp", True)


# uvloop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scenario",
    [
        test_gets_the_page_again_and_again_over_one_connection,
        test_a_chunked_body,
        test_a_server_that_closes_after_each_answer_is_connected_to_again,
        test_a_kept_connection_that_the_server_gave_up_is_no_failure,
        test_what_comes_unasked_is_never_taken_for_an_answer,
        test_a_large_page_within_the_bound,
        test_a_server_that_closes_without_a_word,
        test_nobody_listens,
        test_a_get_that_is_cancelled_leaves_no_half_answer_behind,
        test_tls_to_a_server_that_has_none,
        test_a_handshake_that_hangs_is_given_up,
    ],
)
def test_the_same_on_uvloop(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
