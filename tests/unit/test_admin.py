"""The admin pages over real HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from epp.admin import AdminServer
from epp.kubernetes.reviews import Verdict
from epp.metrics import Metrics


class Picker:
    """What the pages show, set by the tests."""

    def __init__(self) -> None:
        self.is_ready = True
        self.asked: list[tuple[int, str]] = []

    def ready(self) -> bool:
        return self.is_ready

    def endpoints(self) -> list[dict[str, Any]]:
        return [{"name": "pod-1", "waiting": 3.0, "kv_usage": float("nan"), "running": None}]

    def config(self) -> dict[str, Any]:
        return {"generation": 3, "refused": None}

    def decisions(self, limit: int, request_id: str) -> list[dict[str, Any]]:
        self.asked.append((limit, request_id))
        return [{"request_id": request_id, "picked": ["10.0.0.1:8000"]}]


@pytest.fixture
def picker() -> Picker:
    return Picker()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def client(picker: Picker, metrics: Metrics) -> AsyncIterator[httpx.AsyncClient]:
    server = AdminServer(picker, metrics, "127.0.0.1", 0)
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield client
    await server.stop()


async def test_the_index_names_every_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for page in ("/metrics", "/healthz", "/readyz", "/debug/endpoints", "/debug/config", "/debug/decisions"):
        assert f'href="{page}"' in answer.text
        assert (await client.get(page)).status_code == 200


async def test_alive_and_ready(client: httpx.AsyncClient, picker: Picker) -> None:
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True})
    picker.is_ready = False
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert "no pool is known" in ready.json()["reason"]
    assert (await client.get("/healthz")).text == "ok\n"


async def test_metrics_for_prometheus(client: httpx.AsyncClient, metrics: Metrics) -> None:
    metrics.stream_opened()
    answer = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "content-encoding" not in answer.headers
    assert "epp_streams_open 1\n" in answer.text
    assert len(list(read_prometheus(answer.text))) > 30


async def test_metrics_as_openmetrics(client: httpx.AsyncClient) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    answer = await client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert len(list(read_openmetrics(answer.text))) > 30


async def test_metrics_compressed(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.num_bytes_downloaded < len(answer.content)
    assert "epp_streams_open 0\n" in answer.text


async def test_a_long_metrics_page_gives_way_to_others() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    class LongPage(Metrics):
        def exposition(self, *, openmetrics: bool) -> Iterator[str]:
            for _ in range(8):
                turns_at_piece.append(turns)
                yield "# piece\n" * 5000

    turns_at_piece: list[int] = []
    server = AdminServer(Picker(), LongPage(), "127.0.0.1", 0)
    await server.start()
    others = asyncio.create_task(take_turns(), name="others")
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{server.port}/metrics")
    others.cancel()
    await server.stop()
    assert len(set(turns_at_piece)) == 8


async def test_a_client_that_goes_away_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    given_up = asyncio.Event()

    class EndlessPage(Metrics):
        def exposition(self, *, openmetrics: bool) -> Iterator[str]:
            try:
                while True:
                    yield "# piece\n" * 5000
            finally:
                given_up.set()

    server = AdminServer(Picker(), EndlessPage(), "127.0.0.1", 0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: picker\r\n\r\n")
    await reader.readuntil(b"# piece")
    writer.transport.abort()
    await asyncio.wait_for(given_up.wait(), 30)
    await server.stop()
    assert caplog.records == []


async def test_endpoints(client: httpx.AsyncClient) -> None:
    answer = await client.get("/debug/endpoints")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [{"name": "pod-1", "waiting": 3.0, "kv_usage": None, "running": None}]


async def test_decisions(client: httpx.AsyncClient, picker: Picker) -> None:
    await client.get("/debug/decisions")
    answer = await client.get("/debug/decisions?limit=5&request_id=r%201")
    assert answer.json() == [{"request_id": "r 1", "picked": ["10.0.0.1:8000"]}]
    assert picker.asked == [(100, ""), (5, "r 1")]


@pytest.mark.parametrize("limit", ["", "-1", "1.5", "ten", "9" * 10, "\u0663"])
async def test_a_limit_that_is_no_number(client: httpx.AsyncClient, picker: Picker, limit: str) -> None:
    answer = await client.get("/debug/decisions", params={"limit": limit})
    assert (answer.status_code, answer.json()) == (400, {"error": "limit is not a whole number"})
    assert picker.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/x", 404), ("POST", "/metrics", 405), ("HEAD", "/readyz", 200)]
)
async def test_other_requests(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    assert (await client.request(method, path)).status_code == status


async def test_a_port_that_is_taken(metrics: Metrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = AdminServer(Picker(), metrics, "127.0.0.1", port)
        with pytest.raises(OSError, match=str(port)):
            await server.start()


async def test_after_stopping_the_port_is_free(metrics: Metrics) -> None:
    server = AdminServer(Picker(), metrics, "127.0.0.1", 0)
    await server.start()
    port = server.port
    await server.stop()
    socket.create_server(("127.0.0.1", port)).close()


async def test_the_configuration_in_force(client: httpx.AsyncClient) -> None:
    assert (await client.get("/debug/config")).json() == {"generation": 3, "refused": None}


class Guard:
    """Lets in who says the word."""

    async def check(self, authorization: str, path: str) -> Verdict:
        if not authorization:
            return Verdict(401, "a bearer token is needed")
        return Verdict(200) if authorization == f"Bearer may-get-{path}" else Verdict(403, "no")


async def test_a_guard_stands_before_every_page_but_those_of_probes(picker: Picker, metrics: Metrics) -> None:
    server = AdminServer(picker, metrics, "127.0.0.1", 0, guard=Guard())
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        for path in ("/", "/healthz", "/readyz"):
            assert (await client.get(path)).status_code == 200
        for path in ("/metrics", "/debug/endpoints", "/debug/config", "/debug/decisions"):
            refused = await client.get(path)
            assert (refused.status_code, refused.text) == (401, "a bearer token is needed\n")
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert (await client.get(path, headers={"Authorization": "Bearer x"})).status_code == 403
            allowed = await client.get(path, headers={"Authorization": f"Bearer may-get-{path}"})
            assert allowed.status_code == 200
    await server.stop()
