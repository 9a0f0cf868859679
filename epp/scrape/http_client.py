"""A minimal HTTP/1.1 client that does one thing: GET, again and again, from the same server.

`httptools` on an asyncio Protocol: no task, no stream, no header dictionary per request. One connection per
server is kept open; after any error it is closed and the next GET opens a new one. The answer's status must
be 200 (a redirect is an error: a metrics page does not move), its body is bounded, and whatever goes wrong is
one `ScrapeError` with a stable kind.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Callable
from enum import StrEnum
from typing import Final, cast

import httptools

from epp.types import format_address

# Bytes of one answer, head included. vLLM's page has 50 KB, and grows by a line for every combination of
# adapters it ever ran together, which it never drops: 16 MiB are 80,000 of them.
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024

# Bytes of a body after gunzip. We ask for none, and inflating holds up the event loop: 2 MiB take 5 ms, and
# are 40 times vLLM's page.
MAX_INFLATED_BYTES: Final = 2 * 1024 * 1024


# Seconds that a timer may be early: uvloop's count whole milliseconds.
TIMER_RESOLUTION: Final = 0.001


class ScrapeFailure(StrEnum):
    """Why a scrape brought nothing: the values of metric labels, so they stay as they are."""

    CONNECT = "connect"  # refused, unreachable, reset before it was open
    TLS = "tls"  # the handshake failed
    TIMEOUT = "timeout"
    CLOSED = "closed"  # the server closed before its answer was complete
    STATUS = "status"  # any but 200
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"  # not HTTP
    ENCODING = "encoding"  # an encoding that was not asked for and cannot be undone
    NO_METRICS = "no_metrics"  # a page that tells no load
    INTERNAL = "internal"  # a fault of this program


class ScrapeError(Exception):
    """One GET failed; `kind` says how."""

    def __init__(self, kind: ScrapeFailure, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _UnansweredError(ScrapeError):
    """The server closed before the first byte of its answer."""


class HttpConnection:
    """GETs from one server, one at a time, over a connection that is kept open between them."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.host = host
        self.port = port
        self._tls = tls
        self._head = (
            f" HTTP/1.1\r\nHost: {format_address(host, port)}\r\n"
            "Accept: text/plain;version=0.0.4,*/*;q=0.1\r\nAccept-Encoding: identity\r\n\r\n"
        ).encode()
        self._wire: _Wire | None = None
        self.opened = 0  # connections so far

    def __repr__(self) -> str:
        state = "closed" if self._wire is None else "open"
        return f"<HttpConnection {format_address(self.host, self.port)} {state} opened={self.opened}>"

    async def get(self, path: str, timeout: float) -> bytes:
        """The body of the answer to GET `path`. Raises ScrapeError, at the latest after `timeout` seconds."""
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            return await self._get(b"GET " + path.encode() + self._head, deadline)
        except TimeoutError:
            self.close()
            raise ScrapeError(ScrapeFailure.TIMEOUT, f"no answer within {timeout:g} s") from None
        except BaseException:  # also a cancelled GET leaves half an answer on the wire
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection; the next GET opens a new one."""
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    async def _get(self, request: bytes, deadline: float) -> bytes:
        if self._wire is not None and self._wire.reusable:
            try:
                return await self._wire.exchange(request, deadline)
            except _UnansweredError:
                pass  # it closed an idle connection just as it was used again: not the server's fault
        async with asyncio.timeout_at(deadline):
            self._wire = await self._open()
        return await self._wire.exchange(request, deadline)

    async def _open(self) -> _Wire:
        self.close()
        loop = asyncio.get_running_loop()
        name = self.host if self._tls else None
        try:
            _, wire = await loop.create_connection(
                lambda: _Wire(loop), self.host, self.port, ssl=self._tls, server_hostname=name
            )
        except ssl.SSLError as error:
            raise ScrapeError(ScrapeFailure.TLS, f"TLS: {error}") from error
        except TimeoutError:
            raise
        except OSError as error:
            raise ScrapeError(ScrapeFailure.CONNECT, f"cannot connect: {error}") from error
        self.opened += 1
        return wire


def connector(scheme: str, insecure_skip_verify: bool) -> Callable[[str, int], HttpConnection]:
    """What opens connections (host, port) for `scheme`, "http" or "https"; ValueError for any other."""
    if scheme not in ("http", "https"):
        raise ValueError(f"scheme {scheme!r} is neither http nor https")
    tls = None
    if scheme == "https":
        tls = ssl.create_default_context()
        if insecure_skip_verify:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
    return lambda host, port: HttpConnection(host, port, tls)


class _Wire(asyncio.Protocol):
    """One connection. `exchange` writes a request and awaits its answer; the `on_` methods are httptools'."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[bytes] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._received = 0
        self._body: list[bytes] = []
        self._encoding = b""
        self._framed = False  # the head tells where the body ends
        self._in_body = False

    @property
    def reusable(self) -> bool:
        """Whether another request may be written."""
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes, deadline: float) -> bytes:
        """The body of the answer to `request`, decoded. Raises ScrapeError; TimeoutError at `deadline`."""
        assert self._transport is not None
        self._received = 0
        self._answer = self._loop.create_future()
        self._deadline = deadline
        if self._timer is None or deadline < self._timer_at:
            self._set_timer()
        self._transport.write(request)
        return await self._answer

    def abort(self) -> None:
        """Drops the connection at once."""
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # it talks unasked
            return
        self._received += len(data)
        if self._received > MAX_ANSWER_BYTES:
            self._fail(ScrapeFailure.TOO_LARGE, f"an answer of over {MAX_ANSWER_BYTES} bytes")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ScrapeFailure.MALFORMED, f"not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._transport = None
        if self._answer is None or self._answer.done():
            return
        if self._in_body and not self._framed and exc is None:
            self._finish()
        elif self._received:
            self._fail(ScrapeFailure.CLOSED, "the server closed in the middle of its answer")
        else:
            self._answer.set_exception(_UnansweredError(ScrapeFailure.CLOSED, "the server closed unasked"))

    # httptools --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # an answer to no request, in the same packet as the last one
        self._body = []
        self._encoding = b""
        self._framed = False
        self._in_body = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower()):
            self._framed = True
        elif name == b"content-encoding":
            self._encoding = value.strip().lower()

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 200:
            self._in_body = True
        elif status >= 200 or status == 101:  # the others of 1xx are followed by the answer
            self._fail(ScrapeFailure.STATUS, f"HTTP status {status}")

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._in_body:
            self._finish()

    # ------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        if self._answer is None or self._answer.done():
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        try:
            self._answer.set_result(_decoded(body, self._encoding))
        except ScrapeError as error:
            self._answer.set_exception(error)
        if not self._parser.should_keep_alive():
            self.abort()

    def _expire(self) -> None:
        self._timer = None
        if self._answer is None or self._answer.done():
            return
        if self._deadline - self._loop.time() > TIMER_RESOLUTION:
            self._set_timer()
        else:
            self._answer.set_exception(TimeoutError())

    def _set_timer(self) -> None:
        # It is left running for the exchanges that follow: to set and to cancel one for each costs as much as
        # to read the page. When it goes off it is set again for a deadline that has moved meanwhile.
        self._stop_timer()
        self._timer, self._timer_at = self._loop.call_at(self._deadline, self._expire), self._deadline

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fail(self, kind: ScrapeFailure, message: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ScrapeError(kind, message))
        self.abort()


def _decoded(body: bytes, encoding: bytes) -> bytes:
    if encoding in (b"", b"identity"):
        return body
    if encoding not in (b"gzip", b"x-gzip"):
        raise ScrapeError(ScrapeFailure.ENCODING, f"encoded as {encoding[:20]!r}")
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)  # 16: a gzip header, by zlib's manual
    try:
        plain = inflate.decompress(body, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise ScrapeError(ScrapeFailure.ENCODING, f"broken gzip: {error}") from error
    if not inflate.eof:
        if inflate.unconsumed_tail:
            raise ScrapeError(ScrapeFailure.TOO_LARGE, f"gzip of over {MAX_INFLATED_BYTES} bytes")
        raise ScrapeError(ScrapeFailure.ENCODING, "gzip that is cut off")
    return plain
