"""The few calls of the Kubernetes API that the picker makes: get, list, watch, create, update.

Bytes in, bytes out: what objects say is read elsewhere. Why this is no library:
docs/decisions/kubernetes-client.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from epp.kubernetes.access import Access
from epp.kubernetes.credentials import CredentialsError

# Seconds for a call that is no watch. The API server ends its own calls after 60; a list of 1,000 pods takes
# less than one.
CALL_TIMEOUT = 30.0

# Seconds to connect, TLS included.
CONNECT_TIMEOUT = 5.0

# Objects in a part of a list, client-go's page size: the API server holds a whole page in memory.
PAGE_SIZE = 500

# Longest line of a watch, bytes: etcd takes objects of 1.5 MiB, which JSON makes somewhat longer.
MAX_LINE = 4 * 1024 * 1024

# Largest answer, bytes: a page of pods with long annotations is about 20 MiB.
MAX_ANSWER = 256 * 1024 * 1024


class ApiError(Exception):
    """A call that failed. `status` is the HTTP status, 0 where there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}" if status else message)
        self.status = status


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct, frozen=True):
    metadata: _ListMeta = _ListMeta()
    items: list[msgspec.Raw] | None = None


class _Status(msgspec.Struct, frozen=True):
    message: str = ""


class Listing(msgspec.Struct, frozen=True):
    """A whole collection at one version."""

    objects: list[msgspec.Raw]
    resource_version: str


class Client:
    """Calls to one API server. To be used as an async context manager."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Client {self._access.server}>"

    async def __aenter__(self) -> Self:
        # A watch holds its connection, so there is no limit on them. Environment variables name proxies
        # here as they do for every other client of Kubernetes.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), trust_env=True, auto_decompress=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str) -> bytes:
        """One object. ApiError, as from every call."""
        return await self._call("GET", path, {})

    async def create(self, path: str, value: object) -> bytes:
        """Makes an object in the collection at `path`; returns it as the server has it."""
        return await self._call("POST", path, {}, value)

    async def update(self, path: str, value: object) -> bytes:
        """Replaces an object; 409 if it has changed since the version in `value`."""
        return await self._call("PUT", path, {}, value)

    async def list(self, path: str, params: Mapping[str, str]) -> Listing:
        """A whole collection, fetched in pages."""
        objects: list[msgspec.Raw] = []
        query = {**params, "limit": str(PAGE_SIZE)}
        while True:
            page = _decode(await self._call("GET", path, query), _List)
            objects += page.items or ()
            if not page.metadata.continue_:
                return Listing(objects, page.metadata.resource_version)
            query["continue"] = page.metadata.continue_

    async def watch(
        self, path: str, params: Mapping[str, str], *, stalled_after: float
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, until the server ends it or nothing came for `stalled_after` seconds."""
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT, sock_read=stalled_after)
        async with self._request("GET", path, {**params, "watch": "1"}, None, timeout) as response:
            held = bytearray()
            try:
                async for chunk in response.content.iter_any():
                    held += chunk
                    *lines, rest = held.split(b"\n")
                    held = rest
                    for line in lines:
                        if line:
                            yield bytes(line)
                    if len(held) > MAX_LINE:
                        raise ApiError(0, f"a line of a watch is longer than {MAX_LINE} bytes")
            except TimeoutError:
                return
            except (aiohttp.ClientError, OSError) as error:
                raise _unreachable(error) from None

    async def _call(self, method: str, path: str, query: Mapping[str, str], value: object = None) -> bytes:
        timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        async with self._request(method, path, query, value, timeout) as response:
            parts, size = [], 0
            try:
                async for chunk in response.content.iter_any():
                    size += len(chunk)
                    if size > MAX_ANSWER:
                        raise ApiError(0, f"an answer is longer than {MAX_ANSWER} bytes")
                    parts.append(chunk)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _unreachable(error) from None
            return b"".join(parts)

    def _request(
        self, method: str, path: str, query: Mapping[str, str], value: object, timeout: aiohttp.ClientTimeout
    ) -> _Request:
        if self._session is None:
            raise RuntimeError("the client is not open")
        options: dict[str, Any] = {"params": query, "timeout": timeout, "proxy": self._access.proxy}
        if value is not None:
            options["data"] = msgspec.json.encode(value)
        if self._access.tls is not None:
            options |= {"ssl": self._access.tls, "server_hostname": self._access.server_name}
        return _Request(self._session, self._access, method, path, options)


class _Request:
    """A request while its answer is read."""

    def __init__(
        self, session: aiohttp.ClientSession, access: Access, method: str, path: str, options: dict[str, Any]
    ) -> None:
        self._session = session
        self._access = access
        self._method = method
        self._url = access.server + path
        self._options = options
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "epp"}
        try:
            if authorization := await self._access.credentials.authorization():
                headers["Authorization"] = authorization
            response = await self._session.request(
                self._method, self._url, headers=headers, allow_redirects=False, **self._options
            )
        except CredentialsError as error:
            raise ApiError(0, str(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(error) from None
        self._response = response
        if response.status < 300:
            return response
        if response.status == 401:
            self._access.credentials.refused()
        try:
            raise ApiError(response.status, await _message(response))
        finally:
            response.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closed, not released: a watch that is left has more to come. What was read to its end is back in
        # the pool of connections already.
        if self._response is not None:
            self._response.close()


async def _message(response: aiohttp.ClientResponse) -> str:
    """What a failed call's answer says; a Status object has it in words."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            text = await response.content.read(MAX_LINE)
        return msgspec.json.decode(text, type=_Status).message or response.reason or ""
    except (msgspec.MsgspecError, UnicodeDecodeError, aiohttp.ClientError, TimeoutError, OSError):
        return response.reason or ""


def _decode(text: bytes, type_: type[_List]) -> _List:
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ApiError(0, f"the answer is no list: {error}") from None


def _unreachable(error: BaseException) -> ApiError:
    if isinstance(error, TimeoutError):
        return ApiError(0, "no answer in time")
    return ApiError(0, str(error) or type(error).__name__)
