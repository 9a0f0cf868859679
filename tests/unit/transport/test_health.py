"""The health service against the grpcio-health-checking client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from epp.transport.grpcio_server import GrpcioServer
from epp.transport.health import Health, serving_status
from epp.wire.health import ServingStatus

PATIENCE = 10.0
EXT_PROC = "envoy.service.ext_proc.v3.ExternalProcessor"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Picker:
    """Something that is ready or not."""

    def __init__(self, *, ready: bool) -> None:
        self.is_ready = ready
        self.health = Health(lambda: self.is_ready, watch_interval=0.01)


@asynccontextmanager
async def asking(picker: Picker) -> AsyncIterator[tuple[grpc.aio.Channel, HealthStub]]:
    server = GrpcioServer(picker.health.methods(), "127.0.0.1:0", certificate=None, max_body_bytes=0)
    await server.start()
    try:
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
            asyncio.timeout(PATIENCE),
        ):
            yield channel, HealthStub(channel)
    finally:
        await server.drain(0)


def request(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


@pytest.mark.parametrize("service", ["", EXT_PROC, "inference-extension", "nobody knows this"])
@pytest.mark.parametrize(
    ("ready", "status"), [(True, ServingStatus.SERVING), (False, ServingStatus.NOT_SERVING)]
)
def test_any_service_serves_if_the_picker_is_ready(service: str, ready: bool, status: ServingStatus) -> None:
    assert serving_status(service, ready=ready) is status


@pytest.mark.parametrize(
    ("service", "leader", "follower"),
    [
        ("liveness", ServingStatus.SERVING, ServingStatus.SERVING),
        ("readiness", ServingStatus.SERVING, ServingStatus.NOT_SERVING),
        ("", ServingStatus.SERVING, ServingStatus.NOT_SERVING),
        (EXT_PROC, ServingStatus.SERVING, ServingStatus.NOT_SERVING),
        ("inference-extension", ServingStatus.SERVICE_UNKNOWN, ServingStatus.SERVICE_UNKNOWN),
    ],
)
def test_with_leader_election_alive_and_ready_are_two_things(
    service: str, leader: ServingStatus, follower: ServingStatus
) -> None:
    assert serving_status(service, ready=True, elected=True) is leader
    assert serving_status(service, ready=False, elected=True) is follower


async def test_with_leader_election_the_list_has_both() -> None:
    picker = Picker(ready=False)
    picker.health = Health(lambda: False, elected=True)
    async with asking(picker) as (_, stub):
        listed = (await stub.List(health_pb2.HealthListRequest())).statuses
    assert {name: answer.status for name, answer in listed.items()} == {
        EXT_PROC: NOT_SERVING,
        "liveness": SERVING,
        "readiness": NOT_SERVING,
    }


async def test_check_follows_readiness() -> None:
    picker = Picker(ready=False)
    async with asking(picker) as (_, stub):
        assert (await stub.Check(request("inference-extension"))).status == NOT_SERVING
        picker.is_ready = True
        assert (await stub.Check(request("inference-extension"))).status == SERVING


async def test_list_names_the_ext_proc_service() -> None:
    async with asking(Picker(ready=True)) as (_, stub):
        answer = await stub.List(health_pb2.HealthListRequest())
        assert {name: response.status for name, response in answer.statuses.items()} == {EXT_PROC: SERVING}


async def test_watch_tells_each_change_once() -> None:
    picker = Picker(ready=False)
    async with asking(picker) as (_, stub):
        watch = stub.Watch(request(""))
        assert (await watch.read()).status == NOT_SERVING
        picker.is_ready = True
        assert (await watch.read()).status == SERVING
        picker.is_ready = False
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()


async def test_stop_ends_watches_after_a_last_report() -> None:
    picker = Picker(ready=True)
    async with asking(picker) as (_, stub):
        watch = stub.Watch(request(""))
        assert (await watch.read()).status == SERVING
        picker.is_ready = False
        picker.health.stop()
        assert (await watch.read()).status == NOT_SERVING
        assert await watch.read() is grpc.aio.EOF
        assert await watch.code() is grpc.StatusCode.OK


async def test_call_without_a_request() -> None:
    async with asking(Picker(ready=True)) as (channel, _):
        call = channel.stream_stream("/grpc.health.v1.Health/Check")()
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert await call.details() == "the call ended before its request"
