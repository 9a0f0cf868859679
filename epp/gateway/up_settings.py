"""The flags of `epp up`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from epp.config.flags import Complaint, flag
from epp.config.hosts import HostAddress, canonical_host
from epp.gateway.settings import PORTS, TcpAddress

# Everything that `epp up` starts listens on loopback alone: it is for trying things on one machine.
HOST = "127.0.0.1"

# One process simulates them all, and with more it would be measuring itself.
MOST_SIMULATED = 100


@dataclass(frozen=True, slots=True)
class UpSettings:
    """A gateway on this machine: which servers it is in front of, and which ports its parts have."""

    port: int = flag(8080, help="Port of the gateway, on 127.0.0.1.", heading="The gateway")
    cluster: Literal["override_host", "original_dst"] = flag(
        "override_host",
        help="How Envoy follows the picker's choice; `epp envoy-config --help` tells the difference.",
    )
    fail_open: bool = flag(
        False, help="Serve without the picker when it is away, instead of answering 500; for override_host."
    )
    demo: bool = flag(
        False, help="Send 60 requests, say who served which and why, and end; 0 only if all went as picked."
    )

    backend: tuple[str, ...] = flag(
        (), help="URL of a model server, http://HOST:PORT; give one for each.", heading="Model servers"
    )
    pool: str = flag(
        "", help="A pool file with the endpoints, objectives and rewrites; followed when it changes."
    )
    sim: int = flag(3, help="How many simulated vLLM servers to run where neither of the others is given.")
    sim_port: int = flag(8001, help="Port of the first simulated server; the others follow.")

    config: str = flag(
        "",
        help="EndpointPickerConfig for the picker. One whose picker names several endpoints is for"
        " override_host.",
        heading="The picker",
    )
    grpc_port: int = flag(9002, help="Port of the picker's ext_proc service.")
    grpc_health_port: int = flag(9003, help="Port of the picker's health service.")
    metrics_port: int = flag(9090, help="Port of the picker's /metrics and /debug pages.")
    admin_port: int = flag(9901, help="Port of Envoy's admin page.", heading="Envoy")

    @property
    def simulated(self) -> bool:
        """Whether the model servers are ours."""
        return not self.backend and not self.pool

    @property
    def sim_ports(self) -> range:
        """The ports of the simulated servers."""
        return range(self.sim_port, self.sim_port + self.sim) if self.simulated else range(0)

    @property
    def ports(self) -> list[tuple[int, str]]:
        """Each port that has to be free, and the flag that moves it."""
        own = [
            (self.port, "port"),
            (self.grpc_port, "grpc-port"),
            (self.grpc_health_port, "grpc-health-port"),
            (self.metrics_port, "metrics-port"),
            (self.admin_port, "admin-port"),
        ]
        return own + [(port, "sim-port") for port in self.sim_ports]

    def complaints(self) -> Iterator[Complaint]:
        """What is wrong between the flags, and with the backends' URLs."""
        if self.backend and self.pool:
            yield Complaint(("backend", "pool"), "cannot go together with --pool; give one")
        for url in self.backend:
            try:
                read_backend(url)
            except ValueError as error:
                yield Complaint(("backend",), str(error))
        if self.simulated and not 1 <= self.sim <= MOST_SIMULATED:
            yield Complaint(("sim",), f"has to be 1 to {MOST_SIMULATED}")
        else:
            yield from self._port_complaints()

    def _port_complaints(self) -> Iterator[Complaint]:
        owners: dict[int, str] = {}
        for port, name in self.ports:
            if port not in PORTS:
                yield Complaint((name,), f"{port} is no port; ports go from 1 to 65535")
                return
            if port in owners:
                yield Complaint((name, owners[port]), f"{port} is already the port of --{owners[port]}")
            owners.setdefault(port, name)


def read_backend(url: str) -> TcpAddress:
    """The address in `http://HOST[:PORT]`; ValueError with a sentence for the user."""
    parts = urlsplit(url)
    if (
        parts.scheme != "http"
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise ValueError(f'"{url}" is not of the form http://HOST:PORT')
    host = parts.hostname or ""
    if objection := HostAddress().objection(host):
        raise ValueError(f'the host of "{url}" {objection}')
    try:
        port = parts.port or 80
    except ValueError:
        raise ValueError(f'"{url}" has a port outside 1 to 65535') from None
    return TcpAddress(canonical_host(host), port)
