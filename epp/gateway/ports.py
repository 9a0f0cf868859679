"""Whether the ports are free, asked before anything starts."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from epp.gateway.processes import StartError


def check_ports(host: str, ports: Iterable[tuple[int, str]]) -> None:
    """StartError that names each port which cannot be had, and the flag that moves it.

    Envoy itself would not notice: it shares its port with every other Envoy that listens there.
    """
    problems = [problem for port, name in ports if (problem := _problem(host, port, name))]
    if problems:
        raise StartError("\n".join(problems))


def _problem(host: str, port: int, name: str) -> str:
    with socket.socket() as probe:
        # As the servers do: without it the port of one that ended a moment ago would seem taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
            return f"port {port} {reason}; --{name} chooses another"
    return ""
