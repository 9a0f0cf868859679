"""Who the picker is to the API server: a value for the Authorization header, renewed in time."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from epp.kubernetes.kubeconfig import Exec

# Seconds after which a token file is read again: the kubelet renews it at 80 % of its life, which is at least
# ten minutes, and client-go looks once a minute, too.
TOKEN_FILE_AGE = 60.0

# Seconds before its end at which a plugin's token is asked for anew, so that no request carries a dead one.
EXPIRY_MARGIN = 30.0

# Seconds that a plugin may take; those of clouds ask a server, and nobody sits at a prompt here.
PLUGIN_TIMEOUT = 30.0


class CredentialsError(Exception):
    """The credentials cannot be had now; they may be later."""


class Credentials(Protocol):
    """A user's way to prove who he is."""

    async def authorization(self) -> str:
        """The Authorization header; "" for none. CredentialsError if it cannot be made."""

    def refused(self) -> None:
        """The server said 401: what is remembered is not believed any more."""


class Fixed:
    """The same header for ever, "" for none: tokens in a kubeconfig, passwords, client certificates."""

    def __init__(self, header: str = "") -> None:
        self._header = header

    async def authorization(self) -> str:
        """See Credentials."""
        return self._header

    def refused(self) -> None:
        """There is nothing else to try."""


def basic(username: str, password: str) -> Fixed:
    """A name and a password."""
    return Fixed("Basic " + base64.b64encode(f"{username}:{password}".encode()).decode())


class TokenFile:
    """A token in a file that somebody else renews, as the kubelet does in a pod."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._header = ""
        self._read_again_at = float("-inf")

    async def authorization(self) -> str:
        """See Credentials. A token that cannot be read again is used on."""
        if self._clock() >= self._read_again_at:
            try:
                token = (await asyncio.to_thread(self._path.read_text)).strip()
            except (OSError, UnicodeDecodeError) as error:
                if not self._header:
                    raise CredentialsError(f"token file {self._path}: {error}") from None
                return self._header
            self._header = f"Bearer {token}"
            self._read_again_at = self._clock() + TOKEN_FILE_AGE
        return self._header

    def refused(self) -> None:
        """See Credentials."""
        self._read_again_at = float("-inf")


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    token: str = ""
    expiration_timestamp: datetime | None = None
    client_certificate_data: str = ""
    client_key_data: str = ""


class _ExecCredential(msgspec.Struct, frozen=True):
    status: _Status


class ExecPlugin:
    """A program that prints an ExecCredential: a token, a client certificate, or both.

    `context` gets the certificate, for the connections that follow. `wall_clock` is compared with the
    expiration that the program states.
    """

    def __init__(
        self,
        plugin: Exec,
        context: ssl.SSLContext | None,
        environ: Mapping[str, str] = os.environ,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._plugin = plugin
        self._context = context
        self._environ = environ
        self._wall_clock = wall_clock
        self._header: str | None = None
        self._expires: datetime | None = None
        self._one_at_a_time = asyncio.Lock()

    async def authorization(self) -> str:
        """See Credentials."""
        async with self._one_at_a_time:
            if self._header is None or self._is_old():
                self._take((await self._run()).status)
            return self._header or ""

    def refused(self) -> None:
        """See Credentials."""
        self._header = None

    def _is_old(self) -> bool:
        if self._expires is None:
            return False
        return (self._expires - self._wall_clock()).total_seconds() < EXPIRY_MARGIN

    def _take(self, status: _Status) -> None:
        if status.client_certificate_data and self._context is not None:
            load_client_certificate(
                self._context, status.client_certificate_data.encode(), status.client_key_data.encode()
            )
        self._header = f"Bearer {status.token}" if status.token else ""
        self._expires = status.expiration_timestamp

    async def _run(self) -> _ExecCredential:
        plugin = self._plugin
        info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        environ = dict(self._environ) | {var.name: var.value for var in plugin.env or ()}
        environ["KUBERNETES_EXEC_INFO"] = json.dumps(info)
        try:
            process = await asyncio.create_subprocess_exec(
                plugin.command,
                *(plugin.args or ()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env=environ,
            )
        except OSError as error:
            raise CredentialsError(f"plugin {plugin.command}: {error}") from None
        try:
            async with asyncio.timeout(PLUGIN_TIMEOUT):
                output, _ = await process.communicate()
        except TimeoutError:
            raise CredentialsError(f"plugin {plugin.command}: no answer in {PLUGIN_TIMEOUT:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise CredentialsError(f"plugin {plugin.command}: exit code {process.returncode}")
        try:
            return msgspec.json.decode(output, type=_ExecCredential)
        except msgspec.MsgspecError as error:  # its message quotes no value
            raise CredentialsError(f"plugin {plugin.command}: no ExecCredential: {error}") from None


def load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Shows the pair (PEM) in handshakes from now on. CredentialsError if it is none."""
    # OpenSSL reads pairs from files alone.
    with tempfile.NamedTemporaryFile() as file:  # mode 0600
        file.write(certificate + b"\n" + key)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise CredentialsError(f"the client certificate cannot be used: {error.reason}") from None
