"""Addresses to listen on: `host:port` (IPv6 in brackets, port 0 for any) or `unix:path`."""

from __future__ import annotations

import errno
import os
import socket

UNIX = "unix:"


def listening_socket(address: str) -> socket.socket:
    """A TCP socket that listens on `host:port`; on `[::]` it takes IPv4 as well. Raises OSError, naming it.

    Its port is its own: a second picker on the port is an error, not half of the streams.
    """
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(place)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise bind_error(address, error) from None
    listener.setblocking(False)
    return listener


# Connections that wait to be taken: Envoy's threads connect at once when a picker starts. The kernel's own
# bound (net.core.somaxconn) is lower or equal by default.
_BACKLOG = 4096


def bind_error(address: str, reason: OSError) -> OSError:
    """`reason` in words that name the address."""
    port = address.rpartition(":")[2]
    taken = reason.errno == errno.EADDRINUSE and not address.startswith(UNIX)
    what = f"port {port} is taken" if taken else reason.strerror or os.strerror(reason.errno or 0)
    return OSError(reason.errno, f"cannot listen on {address}: {what}")
