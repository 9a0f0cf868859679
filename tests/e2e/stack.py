"""The three parts of the request path as real processes on free ports, for tests to use and to harm.

    client ──▶ Gateway (Envoy) ──▶ Simulators, or backends of the test's own
                  │
                  └──▶ Picker (`epp serve`)

Each part is an async context manager and a `Process`: it can be killed, and started again on the same ports.
`Pool` is the one truth about endpoints: the picker's pool file and Envoy's EDS file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from epp.gateway.bootstrap import envoy_bootstrap
from epp.gateway.eds import render_eds, write_eds
from epp.gateway.envoy import envoy_argv, find_envoy
from epp.gateway.settings import GatewaySettings
from epp.types import EndpointSpec
from tests.e2e.process import PATIENCE, Process, free_ports

EPP = (sys.executable, "-m", "epp")

# What `epp serve --transport` can be, the default first.
TRANSPORTS = ("h2", "grpcio")

BASE_MODEL = "meta-llama/Llama-3.1-8B-Instruct"
ADAPTERS = ("food-review", "cad-fabricator")

# Objectives of the deployment guide, and one that may be shed.
OBJECTIVES = {"food-review": 10, "base-model": 1, "batch": -1}

_request_ids = count(1)


def request_id() -> str:
    """One that no other request has, to find it in /debug/decisions."""
    return f"e2e-{next(_request_ids)}"


def client_of(port: int, **settings: Any) -> httpx.AsyncClient:
    """An HTTP client of a local port."""
    return _client(base_url=f"http://127.0.0.1:{port}", **settings)


def _client(**settings: Any) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    # Nothing here is https: without `verify` no client spends 100 ms on reading the system's authorities.
    return httpx.AsyncClient(timeout=PATIENCE, limits=limits, trust_env=False, verify=False, **settings)


class Pool:
    """Which endpoints there are: `write` tells the picker and Envoy, each by replacing its file."""

    def __init__(
        self,
        folder: Path,
        addresses: Iterable[str],
        objectives: Mapping[str, int] = OBJECTIVES,
        rewrites: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        folder.mkdir()
        self.file = folder / "pool.yaml"
        self.eds = folder / "eds.json"
        self._rest = {
            "pool": {"name": "e2e"},
            "objectives": [{"name": name, "priority": priority} for name, priority in objectives.items()],
            "rewrites": [dict(rewrite) for rewrite in rewrites],
        }
        self.addresses: tuple[str, ...] = ()
        self.write(addresses)

    def write(self, addresses: Iterable[str]) -> None:
        """From now on the endpoints are these `host:port`."""
        self.addresses = tuple(addresses)
        hosts = [address.rsplit(":", 1) for address in self.addresses]
        endpoints = [{"address": host, "port": int(port)} for host, port in hosts]
        draft = self.file.with_suffix(".draft")
        draft.write_text(yaml.safe_dump({**self._rest, "endpoints": endpoints}))
        draft.replace(self.file)
        specs = [EndpointSpec(f"{host}:{port}", host, int(port)) for host, port in hosts]
        write_eds(self.eds, render_eds(specs))


class Simulators(Process):
    """`epp sim`: simulated vLLM servers on ports in a row."""

    def __init__(self, folder: Path, servers: int = 3, *flags: str) -> None:
        first = free_ports(servers)
        self.addresses = tuple(f"127.0.0.1:{port}" for port in range(first, first + servers))
        argv = [*EPP, "sim", "--servers", str(servers), "--port", str(first), *flags]
        super().__init__(argv, folder / "sim.log")
        self._http = _client()

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await self._http.aclose()

    async def ready(self) -> bool:
        return all([await answers(self._http, f"http://{address}/health") for address in self.addresses])

    async def state(self, address: str) -> dict[str, Any]:
        """What the server at `address` holds and has done."""
        state: dict[str, Any] = (await self._http.get(f"http://{address}/sim/state")).json()
        return state

    async def states(self) -> list[dict[str, Any]]:
        """Of every server."""
        return [await self.state(address) for address in self.addresses]

    async def set_faults(self, address: str, **faults: Any) -> None:
        """Fields of POST /sim/faults. A dead server is told by a living one."""
        change = {"server": self.addresses.index(address), **faults}
        asked = next(each for each in self.addresses if each != address)
        (await self._http.post(f"http://{asked}/sim/faults", json=change)).raise_for_status()

    async def pin_load(self, address: str, **gauges: Any) -> None:
        """Fields of POST /sim/load: gauges to hold at a value, None lets go."""
        (await self._http.post(f"http://{address}/sim/load", json=gauges)).raise_for_status()


class Picker(Process):
    """`epp serve` on a pool."""

    def __init__(
        self, folder: Path, pool: Pool, *flags: str, transport: str = TRANSPORTS[0], tls: bool = True
    ) -> None:
        self.port, self.health_port, self.admin_port = (first := free_ports(3)), first + 1, first + 2
        self.transport = transport
        self.tls = tls
        ports = {
            "grpc-port": self.port,
            "grpc-health-port": self.health_port,
            "metrics-port": self.admin_port,
        }
        argv = [*EPP, "serve", "--pool-file", str(pool.file), "--bind-address", "127.0.0.1"]
        argv += ["--transport", transport]
        argv += [f"--{name}={port}" for name, port in ports.items()]
        super().__init__([*argv, f"--secure-serving={str(tls).lower()}", *flags], folder / "picker.log")
        self._http = client_of(self.admin_port)

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await self._http.aclose()

    @property
    def address(self) -> str:
        """Where Envoy asks it."""
        return f"127.0.0.1:{self.port}"

    async def ready(self) -> bool:
        return await answers(self._http, "/readyz")

    async def page(self, path: str) -> str:
        """What a page of the side door says."""
        return (await self._http.get(path)).raise_for_status().text

    async def endpoints(self) -> dict[str, dict[str, Any]]:
        """/debug/endpoints by address."""
        return {each["address"]: each for each in (await self._http.get("/debug/endpoints")).json()}

    async def decision(self, id: str) -> dict[str, Any]:
        """The decision about the request with this x-request-id."""
        found: list[dict[str, Any]]
        found = (await self._http.get("/debug/decisions", params={"request_id": id})).json()
        [decision] = found
        return decision

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels, 0 without any."""
        lines = [line for line in (await self.page("/metrics")).splitlines() if line.startswith(name)]
        families = text_string_to_metric_families("\n".join(lines))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def in_flight(self) -> int:
        """Requests that hold something on an endpoint."""
        return sum(each["in_flight"] for each in (await self.endpoints()).values())

    async def is_idle(self) -> bool:
        """Whether every request has given back what it took, and every stream is closed."""
        return not await self.in_flight() and not await self.metric("epp_streams_open")


class Gateway(Process):
    """Envoy with the bootstrap of `epp envoy-config`, asking `picker`; `client` speaks to it.

    `amend` may change the configuration of the HTTP connection manager, for gateways that are not ours.
    """

    def __init__(
        self,
        folder: Path,
        picker: Picker,
        pool: Pool,
        amend: Callable[[dict[str, Any]], None] = lambda _: None,
        **settings: Any,
    ) -> None:
        port = free_ports(2)
        self._amend = amend
        self.settings = GatewaySettings(
            port=port,
            admin_port=port + 1,
            eds_file=str(pool.eds),
            picker=picker.address,
            picker_tls=picker.tls,
            **settings,
        )
        self._bootstrap = folder / f"envoy-{port}.json"
        super().__init__(envoy_argv(find_envoy(), self._bootstrap), folder / f"envoy-{port}.log")
        self._admin = client_of(port + 1)
        self.client = client_of(port)

    async def __aenter__(self) -> Gateway:
        bootstrap = envoy_bootstrap(self.settings)
        [listener] = bootstrap["static_resources"]["listeners"]
        self._amend(listener["filter_chains"][0]["filters"][0]["typed_config"])
        self._bootstrap.write_text(json.dumps(bootstrap))
        await super().__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await super().__aexit__()
        await self._admin.aclose()

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.settings.port

    async def ready(self) -> bool:
        return await answers(self._admin, "/ready") and await self.sees_picker()

    async def sees_picker(self) -> bool:
        """Whether Envoy would ask the picker now."""
        [host] = await self._hosts("picker")
        return host.get("health_status", {}).get("eds_health_status") == "HEALTHY" and not any(
            value is True for value in host["health_status"].values()
        )

    async def knows(self, addresses: Iterable[str]) -> bool:
        """Whether these, and no others, are the endpoints of Envoy's EDS cluster."""
        hosts = [host["address"]["socket_address"] for host in await self._hosts("model-servers")]
        return {f"{host['address']}:{host['port_value']}" for host in hosts} == set(addresses)

    async def connections(self, address: str) -> int:
        """How many it holds to a model server."""
        host, port = address.split(":")
        found = {"address": host, "port_value": int(port)}
        return sum(
            int(stat.get("value", 0))
            for each in await self._hosts("model-servers")
            for stat in each["stats"]
            if each["address"]["socket_address"] == found and stat["name"] == "cx_active"
        )

    async def stat(self, name: str) -> int:
        """One of Envoy's counters or gauges, 0 if it does not have it."""
        page = (await self._admin.get("/stats", params={"filter": f"^{name}$", "format": "json"})).json()
        return sum(each.get("value", 0) for each in page["stats"])

    async def _hosts(self, cluster: str) -> list[dict[str, Any]]:
        page = (await self._admin.get("/clusters", params={"format": "json"})).json()
        [status] = [each for each in page["cluster_statuses"] if each["name"] == cluster]
        hosts: list[dict[str, Any]] = status.get("host_statuses", [])
        return hosts


@dataclass(frozen=True, slots=True)
class Stack:
    """Simulated servers, the picker of their pool and a gateway in front."""

    sim: Simulators
    pool: Pool
    picker: Picker
    gateway: Gateway

    @property
    def client(self) -> httpx.AsyncClient:
        """A client of the gateway."""
        return self.gateway.client


@asynccontextmanager
async def running_stack(
    folder: Path,
    *,
    sim: Sequence[str] = (),
    picker: Sequence[str] = (),
    transport: str = TRANSPORTS[0],
    tls: bool = True,
    rewrites: Sequence[Mapping[str, Any]] = (),
    **gateway: Any,
) -> AsyncIterator[Stack]:
    """All three, with further flags of `epp sim` and `epp serve` and settings of the gateway."""
    async with AsyncExitStack() as stack:
        simulators = await stack.enter_async_context(Simulators(folder, 3, *sim))
        pool = Pool(folder / "pool", simulators.addresses, rewrites=rewrites)
        asked = await stack.enter_async_context(Picker(folder, pool, *picker, transport=transport, tls=tls))
        front = await stack.enter_async_context(Gateway(folder, asked, pool, **gateway))
        yield Stack(simulators, pool, asked, front)


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False
