"""gRPC's own client, blocking and asynchronous, speaks with the picker over TLS: health and ext_proc."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import grpc
import pytest
import pytest_asyncio
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
from envoy.service.ext_proc.v3.external_processor_pb2_grpc import ExternalProcessorStub
from google.protobuf import text_format
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.e2e.process import PATIENCE, eventually
from tests.e2e.stack import Picker, Pool, Simulators

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVING = HealthCheckResponse.SERVING

# Longer than any window of the connection and of a stream.
LARGE = 3 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def picker(tmp_path_factory: pytest.TempPathFactory, transport: str) -> AsyncIterator[Picker]:
    folder = tmp_path_factory.mktemp("grpc")
    async with Simulators(folder) as sim:
        pool = Pool(folder / "pool", sim.addresses)
        async with Picker(folder, pool, "--health-checking", transport=transport) as picker:
            yield picker
            await eventually(picker.is_idle)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def credentials(picker: Picker) -> grpc.ChannelCredentials:
    """Believes the picker's own certificate, which names its addresses."""
    certificate = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", picker.port))
    return grpc.ssl_channel_credentials(certificate.encode())


def conversation(size: int) -> Iterator[ProcessingRequest]:
    """A request with a prompt of `size` bytes and its answer, in Envoy's messages."""
    body = rf"{{\"model\": \"m\", \"prompt\": \"{'p' * size}\"}}"
    for letter in (
        'request_headers { headers { headers { key: ":method" raw_value: "POST" }'
        ' headers { key: ":path" raw_value: "/v1/completions" } } }',
        f'request_body {{ body: "{body}" end_of_stream: true }}',
        'response_headers { headers { headers { key: ":status" raw_value: "200" } } }',
        'response_body { body: "{}" end_of_stream: true }',
    ):
        yield text_format.Parse(letter, ProcessingRequest())


def judge(answers: list[ProcessingResponse], picker: Picker, size: int) -> None:
    kinds = [answer.WhichOneof("response") for answer in answers]
    parts = kinds.count("request_body")
    assert kinds == ["request_headers", *["request_body"] * parts, "response_headers", "response_body"]
    body = b"".join(answer.request_body.response.body_mutation.streamed_response.body for answer in answers)
    assert len(body) == size + len('{"model": "m", "prompt": ""}')


@pytest.mark.parametrize("size", [1, LARGE])
async def test_blocking(picker: Picker, credentials: grpc.ChannelCredentials, size: int) -> None:
    def talk() -> list[ProcessingResponse]:
        with grpc.secure_channel(picker.address, credentials) as channel:
            health = HealthStub(channel)
            assert health.Check(HealthCheckRequest(), timeout=PATIENCE).status == SERVING
            assert health.List(HealthListRequest(), timeout=PATIENCE).statuses
            watch = health.Watch(HealthCheckRequest(), timeout=PATIENCE)
            assert next(watch).status == SERVING
            watch.cancel()
            return list(ExternalProcessorStub(channel).Process(conversation(size), timeout=PATIENCE))

    judge(await asyncio.to_thread(talk), picker, size)


@pytest.mark.parametrize("size", [1, LARGE])
async def test_asynchronous(picker: Picker, credentials: grpc.ChannelCredentials, size: int) -> None:
    async with grpc.aio.secure_channel(picker.address, credentials) as channel:
        health = HealthStub(channel)
        assert (await health.Check(HealthCheckRequest(), timeout=PATIENCE)).status == SERVING
        watch = health.Watch(HealthCheckRequest(), timeout=PATIENCE)
        assert (await watch.read()).status == SERVING
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch.read()

        async def talk() -> list[ProcessingResponse]:
            call = ExternalProcessorStub(channel).Process(timeout=PATIENCE)
            for message in conversation(size):
                await call.write(message)
            await call.done_writing()
            return [answer async for answer in call]

        for answers in await asyncio.gather(*(talk() for _ in range(20 if size == 1 else 2))):
            judge(answers, picker, size)


async def test_the_port_for_probes(picker: Picker) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{picker.health_port}") as channel:
        answer = await HealthStub(channel).Check(HealthCheckRequest(service="envoy"), timeout=PATIENCE)
        assert answer.status == SERVING
        call = ExternalProcessorStub(channel).Process(timeout=PATIENCE)
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
