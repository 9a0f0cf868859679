"""`epp serve` in a cluster: an API server of our own that can be taken away, and simulated model servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from epp.kubernetes.pods import ACTIVE_PORTS
from tests.e2e.load import Load
from tests.e2e.process import Process, eventually, free_ports
from tests.e2e.stack import EPP, Gateway, Pool, Simulators, client_of
from tests.kubernetes_api import (
    ACCESS_REVIEWS,
    LEASES,
    OBJECTIVES,
    PODS,
    POOLS,
    TOKEN_REVIEWS,
    KubernetesApi,
    objective,
    pod,
    pool,
)

EXT_PROC = "envoy.service.ext_proc.v3.ExternalProcessor"
SERVING = health_pb2.HealthCheckResponse.SERVING

# Seconds in which a leader that died has to be replaced.
TAKEOVER = 20


class Picker(Process):
    """`epp serve --pool-name demo` with a kubeconfig for `api`. It has started when it is alive."""

    def __init__(self, folder: Path, api: KubernetesApi, name: str, *flags: str) -> None:
        self.health_port, self.admin_port = (first := free_ports(3)) + 1, first + 2
        self.address, self.tls = f"127.0.0.1:{first}", True
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(
            "current-context: c\n"
            "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
            f"clusters: [{{name: c, cluster: {{server: '{api.url}'}}}}]\n"
            "users: [{name: u, user: {token: abc}}]\n"
        )
        argv = [
            *EPP,
            "serve",
            "--pool-name",
            "demo",
            "--pool-namespace",
            "default",
            "--bind-address=127.0.0.1",
        ]
        argv += [f"--kubeconfig={kubeconfig}", f"--grpc-port={first}", f"--grpc-health-port={first + 1}"]
        super().__init__([*argv, f"--metrics-port={first + 2}", *flags], folder / f"{name}.log")
        self.http = client_of(self.admin_port)

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await self.http.aclose()

    async def ready(self) -> bool:
        try:
            return (await self.http.get("/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async def serves(self) -> bool:
        """Whether it is ready for requests."""
        return (await self.http.get("/readyz")).status_code == 200

    async def endpoints(self) -> list[str]:
        return sorted(each["name"] for each in (await self.http.get("/debug/endpoints")).json())

    async def healthy(self, service: str) -> bool:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.health_port}") as channel:
            answer = await HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
            return bool(answer.status == SERVING)


@pytest.fixture
async def simulators(tmp_path: Path) -> AsyncIterator[Simulators]:
    async with Simulators(tmp_path, 2, "--time-scale=50") as simulators:
        yield simulators


@pytest.fixture
async def api(simulators: Simulators) -> AsyncIterator[KubernetesApi]:
    """A server with a pool, whose only pod has a simulated model server behind each of two target ports."""
    async with KubernetesApi() as api:
        api.put(POOLS, pool("demo", *ports_of(simulators)))
        api.put(PODS, pod("a", "127.0.0.1"))
        api.put(OBJECTIVES, objective("food-review", 10))
        api.token = "abc"
        yield api


async def test_the_pool_is_followed_and_outlives_its_server(api: KubernetesApi, tmp_path: Path) -> None:
    async with Picker(tmp_path, api, "picker", "--metrics-endpoint-auth=false") as picker:
        await eventually(picker.serves)
        assert await picker.endpoints() == ["a-rank-0", "a-rank-1"]
        assert await picker.healthy("inference-extension")

        await api.stop()
        await eventually(lambda: "what is known stays" in picker.output())
        assert await picker.serves()
        assert await picker.endpoints() == ["a-rank-0", "a-rank-1"]

        await api.start()
        [first, _] = api.objects[POOLS]["demo"]["spec"]["targetPorts"]
        api.put(PODS, pod("a", "127.0.0.1", annotations={ACTIVE_PORTS: str(first["number"])}))

        async def only_the_first() -> bool:
            return await picker.endpoints() == ["a-rank-0"]

        await eventually(only_the_first)
        api.put(PODS, pod("nowhere", "192.0.2.1"))  # reserved for documentation: it never answers

        async def nowhere_too() -> bool:
            return "nowhere-rank-0" in await picker.endpoints()

        await eventually(nowhere_too)
        assert await picker.serves()
        api.delete(POOLS, "demo")

        async def not_ready() -> bool:
            return not await picker.serves()

        await eventually(not_ready)
        assert await picker.terminate() == 0


def ports_of(simulators: Simulators) -> list[int]:
    return [int(address.rpartition(":")[2]) for address in simulators.addresses]


async def test_pods_that_come_and_go_cost_no_request(
    api: KubernetesApi, simulators: Simulators, tmp_path: Path
) -> None:
    """Two servers stay; one of them gets a pod after the other, among hundreds that never get ready."""
    stays, moves = ports_of(simulators)
    api.put(PODS, pod("a", "127.0.0.1", annotations={ACTIVE_PORTS: str(stays)}))
    envoys = Pool(tmp_path / "pool", simulators.addresses)
    async with AsyncExitStack() as stack:
        picker = await stack.enter_async_context(
            Picker(tmp_path, api, "picker", "--metrics-endpoint-auth=false")
        )
        await eventually(picker.serves)
        gateway = await stack.enter_async_context(Gateway(tmp_path, picker, envoys))
        async with Load(gateway.client) as load:
            for generation in range(6):
                name = f"moves-{generation}"
                here = {"annotations": {ACTIVE_PORTS: str(moves)}}
                api.put(PODS, pod(name, "127.0.0.1", **here))
                for number in range(100):
                    api.put(PODS, pod(f"{name}-{number}", f"10.1.{generation}.{number}", ready=False))

                async def is_known(name: str = f"{name}-rank-1") -> bool:
                    return name in await picker.endpoints()

                await eventually(is_known)
                await load.more(30)
                api.put(PODS, pod(name, "127.0.0.1", deletionTimestamp="2026-01-01T00:00:00Z", **here))
                if generation == 3:
                    await api.stop()
                    await load.more(10)
                    await api.start()
                load.next_phase()
                await load.more(10)
                for each in [name, *(f"{name}-{number}" for number in range(100))]:
                    api.delete(PODS, each)
        assert not load.lost(), load

        async def only_the_first() -> bool:
            return await picker.endpoints() == ["a-rank-0"]

        await eventually(only_the_first)
        assert all(state["served"] for state in await simulators.states())


async def test_labels_select_without_a_pool(api: KubernetesApi, tmp_path: Path) -> None:
    ports = ",".join(str(port["number"]) for port in api.objects[POOLS]["demo"]["spec"]["targetPorts"])
    api.installed.remove(POOLS)
    picker = Picker(tmp_path, api, "picker", "--metrics-endpoint-auth=false")
    argv = [word for word in picker.argv if word not in ("--pool-name", "demo")]
    picker.argv = [*argv, "--endpoint-selector", "app=vllm", "--endpoint-target-ports", ports]
    async with picker:
        await eventually(picker.serves)
        assert await picker.endpoints() == ["a-rank-0", "a-rank-1"]


async def test_metrics_want_a_token(api: KubernetesApi, tmp_path: Path) -> None:
    def token(spec: dict[str, Any]) -> dict[str, Any]:
        return {"authenticated": spec["token"] != "bad", "user": {"username": spec["token"]}}

    def access(spec: dict[str, Any]) -> dict[str, Any]:
        return {"allowed": spec["user"] == "prometheus"}

    async def status(picker: Picker, who: str | None) -> int:
        headers = {"Authorization": f"Bearer {who}"} if who else {}
        return (await picker.http.get("/metrics", headers=headers)).status_code

    async with Picker(tmp_path, api, "picker") as picker:
        assert await status(picker, "prometheus") == 503  # there are no reviews here yet
        api.reviews = {TOKEN_REVIEWS: token, ACCESS_REVIEWS: access}
        assert [await status(picker, who) for who in ("prometheus", "mallory", "bad", None)] == [
            200,
            403,
            401,
            401,
        ]


async def test_of_two_pickers_one_leads(api: KubernetesApi, tmp_path: Path) -> None:
    flags = ("--ha-enable-leader-election", "--metrics-endpoint-auth=false", "--drain-timeout=0s")
    async with AsyncExitStack() as stack:
        pickers = [await stack.enter_async_context(Picker(tmp_path, api, name, *flags)) for name in "ab"]

        async def leaders() -> list[Picker]:
            return [picker for picker in pickers if picker.alive and await picker.serves()]

        async def one_leads() -> bool:
            return len(await leaders()) == 1

        await eventually(one_leads)
        [leader] = await leaders()
        [follower] = [picker for picker in pickers if picker is not leader]
        for service, follows in {"liveness": True, "readiness": False, "": False, EXT_PROC: False}.items():
            assert await leader.healthy(service)
            assert await follower.healthy(service) is follows

        await api.stop()  # for longer than client-go's leaders would stay
        await eventually(lambda: all("cannot be read or written" in each.output() for each in pickers))
        assert await leaders() == [leader]
        await api.start()

        assert await leader.terminate() == 0
        await eventually(follower.serves, patience=TAKEOVER / 2)  # the lease was given back
        await leader.start()
        assert not await leader.serves()

        await follower.kill()
        await eventually(leader.serves, patience=TAKEOVER)
        [lease] = api.objects[LEASES].values()
        assert lease["metadata"]["name"] == "epp-default-demo.gateway-api-inference-extension.sigs.k8s.io"
        assert json.dumps(lease["spec"]["leaseTransitions"]) == "2"
