"""What the listener does, seen with the real Envoy."""

import asyncio

import pytest

from epp.extproc.names import DESTINATION, SERVED, SUBSET, read_served
from epp.types import EndpointSpec
from epp.wire.messages import HttpBody, HttpHeaders, HttpTrailers, Phase

# The most that a gRPC server takes in one message unless told otherwise.
GRPC_MESSAGE_LIMIT = 4 * 1024 * 1024


@pytest.fixture
async def gateway(stub_picker, backends, run_envoy, free_port):
    """Starts Envoy over the two backends and more ports, and the stub picker unless it is to be away."""

    async def start(*, picker_is_away=False, more_ports=(), **settings):
        picker = f"127.0.0.1:{free_port()}"
        if not picker_is_away:
            await stub_picker.start(picker)
        ports = [*(each.port for each in backends), *more_ports]
        endpoints = [EndpointSpec(f"server-{port}", "127.0.0.1", port) for port in ports]
        return await run_envoy(endpoints, picker=picker, picker_tls=False, **settings)

    return start


@pytest.mark.parametrize("cluster", ["override_host", "original_dst"])
async def test_the_picker_decides_and_not_the_client(gateway, stub_picker, backends, cluster):
    client = await gateway(cluster=cluster)
    chosen, other = backends
    stub_picker.destination = chosen.address
    lies = {DESTINATION: other.address, SERVED: other.address, SUBSET: other.address}
    for _ in range(4):
        answer = await client.post("/v1/completions", content=b"{}", headers=lies)
        assert answer.headers["x-served-by"] == chosen.address
    assert len(stub_picker.headers(Phase.REQUEST)) == 4
    assert not any(set(lies) & set(headers) for headers in stub_picker.headers(Phase.REQUEST))
    assert [headers[DESTINATION] for headers in chosen.requests] == [chosen.address] * 4


@pytest.mark.parametrize("size", [2, 9_000_000])
async def test_a_list_of_destinations_is_tried_in_its_order(gateway, stub_picker, backends, free_port, size):
    dead = free_port()
    client = await gateway(more_ports=[dead])
    stub_picker.destination = f"127.0.0.1:{dead},{backends[1].address},{backends[0].address}"
    for _ in range(4):
        answer = await client.post("/v1/completions", content=b"x" * size)
        assert answer.headers["x-served-by"] == backends[1].address
        assert answer.json() == {"bytes": size}


async def test_long_bodies_come_in_pieces_that_any_grpc_server_takes(gateway, stub_picker, backends):
    client = await gateway()
    stub_picker.destination = backends[0].address
    answer = await client.post("/v1/completions", content=b"x" * 20_000_000)
    assert answer.json() == {"bytes": 20_000_000}
    assert max(len(each.data) for each in stub_picker.seen if isinstance(each, HttpBody)) < GRPC_MESSAGE_LIMIT


async def test_the_picker_learns_who_served(gateway, stub_picker, backends, free_port):
    dead = free_port()
    client = await gateway(more_ports=[dead])
    stub_picker.destination = f"127.0.0.1:{dead},{backends[1].address}"
    await client.post("/v1/completions", content=b"{}")
    (headers,) = [
        each for each in stub_picker.seen if isinstance(each, HttpHeaders) and each.phase is Phase.RESPONSE
    ]
    assert read_served(headers.context.metadata, headers.context.attributes) == backends[1].address


async def test_a_request_with_trailers_arrives_once_and_without_them(gateway, stub_picker, backends):
    client = await gateway()
    stub_picker.destination = backends[0].address
    url = client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
        b"\r\n2\r\n{}\r\n0\r\nx-checksum: 1\r\n\r\n"
    )
    assert b"200 OK" in await reader.readline()
    assert b'{"bytes": 2}' in await reader.read()
    writer.close()
    await writer.wait_closed()
    assert not [each for each in stub_picker.seen if isinstance(each, HttpTrailers)]


async def test_the_clients_request_id_reaches_the_picker(gateway, stub_picker, backends):
    client = await gateway()
    stub_picker.destination = backends[0].address
    await client.get("/v1/models", headers={"x-request-id": "mine"})
    (headers,) = stub_picker.headers(Phase.REQUEST)
    assert headers["x-request-id"] == "mine"


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, 500),
        ({"fail_open": True}, 200),
        ({"fail_open": True, "request_body_mode": "BUFFERED", "response_body_mode": "BUFFERED"}, 200),
        ({"cluster": "original_dst"}, 500),
        # There is nowhere to go, and above all not where the client says.
        ({"cluster": "original_dst", "fail_open": True}, 503),
    ],
)
async def test_a_picker_that_is_away(gateway, backends, settings, status):
    client = await gateway(picker_is_away=True, **settings)
    headers = {DESTINATION: backends[0].address}
    answer = await client.post("/v1/completions", content=b"x" * 100_000, headers=headers)
    assert answer.status_code == status
    reached = [request for each in backends for request in each.requests]
    assert len(reached) == (status == 200)
    assert not any(DESTINATION in request for request in reached)


@pytest.mark.parametrize(("settings", "tells"), [({}, False), ({"served_by_header": True}, True)])
async def test_answers_name_their_server_if_asked(gateway, stub_picker, backends, settings, tells):
    for each in backends:
        each.names_itself = False
    client = await gateway(**settings)
    stub_picker.destination = backends[0].address
    answer = await client.get("/health")
    assert answer.headers.get("x-served-by") == (backends[0].address if tells else None)


async def test_the_access_log_is_written_if_asked(gateway, tmp_path):
    log = tmp_path / "access.log"
    await gateway(picker_is_away=True)
    assert not log.exists()
    await gateway(picker_is_away=True, access_log=str(log))
    assert log.exists()
