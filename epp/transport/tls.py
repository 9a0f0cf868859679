"""TLS contexts for HTTP/2 (RFC 9113, sections 3.2 and 9.2) that follow a certificate as it changes."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from epp.transport.certificates import KeyPair

# TLS 1.2 with suites that section 9.2.2 does not prohibit: ephemeral keys and authenticated encryption.
# TLS 1.3 has no others.
_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(certificate: Callable[[], KeyPair]) -> ssl.SSLContext:
    """A context that asks for the pair to show at each handshake.

    HTTP/2 is offered by ALPN. A client that does not speak ALPN is served too: gateways that are told to use
    HTTP/2 upstream may leave it out, and whoever means HTTP/1.1 fails at the preface.
    """
    shown = certificate()
    current = _context(shown)

    # OpenSSL calls it in each handshake, whether the client names a server or not.
    def choose(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        nonlocal shown, current
        pair = certificate()
        if pair is not shown:
            shown, current = pair, _context(pair)
        connection.context = current

    entry = _context(shown)
    callback: Any = choose  # the stubs know sockets only
    entry.sni_callback = callback
    return entry


def _context(pair: KeyPair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["h2"])
    # The ssl module reads pairs from files alone; the directory is this user's only, and gone at once.
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "pair.pem")
        file.touch(mode=0o600)
        file.write_bytes(pair.key + b"\n" + pair.certificate)
        context.load_cert_chain(file)
    return context
