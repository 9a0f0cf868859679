"""Calls to an API server over real HTTP."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from epp.kubernetes.access import Access
from epp.kubernetes.client import PAGE_SIZE, ApiError, Client
from epp.kubernetes.credentials import Fixed, TokenFile
from epp.transport.self_signed import self_signed
from tests.kubernetes_api import LEASES, PODS, KubernetesApi, pod


@pytest.fixture
async def api() -> AsyncIterator[KubernetesApi]:
    async with KubernetesApi() as api:
        yield api


@pytest.fixture
async def client(api: KubernetesApi) -> AsyncIterator[Client]:
    async with Client(Access(api.url, Fixed())) as client:
        yield client


async def test_a_long_list_comes_in_pages(api: KubernetesApi, client: Client) -> None:
    for number in range(2 * PAGE_SIZE + 1):
        api.put(PODS, pod(f"pod-{number}"))
    listing = await client.list(PODS, {"labelSelector": "app=vllm"})
    assert len(listing.objects) == 2 * PAGE_SIZE + 1
    assert listing.resource_version == str(api.version)
    assert api.lists(PODS) == 3


async def test_objects_are_made_read_and_replaced(api: KubernetesApi, client: Client) -> None:
    made = json.loads(await client.create(LEASES, {"metadata": {"name": "a"}, "spec": {"n": 1}}))
    made["spec"]["n"] = 2
    await client.update(f"{LEASES}/a", made)
    assert json.loads(await client.get(f"{LEASES}/a"))["spec"] == {"n": 2}
    with pytest.raises(ApiError) as caught:
        await client.update(f"{LEASES}/a", made)
    assert caught.value.status == 409


async def test_a_watch_brings_lines_until_it_ends(api: KubernetesApi, client: Client) -> None:
    api.put(PODS, pod("old"))
    version = str(api.version)
    api.put(PODS, pod("new"))
    lines = client.watch(PODS, {"resourceVersion": version}, stalled_after=5)
    assert json.loads(await anext(lines))["object"]["metadata"]["name"] == "new"
    api.say(PODS, b"x" * 100_000 + b"\nsecond\n")  # longer than aiohttp's lines may be
    assert await anext(lines) == b"x" * 100_000
    assert await anext(lines) == b"second"
    api.cut()
    with pytest.raises(StopAsyncIteration):
        await anext(lines)


async def test_a_line_without_end_is_given_up(
    api: KubernetesApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("epp.kubernetes.client.MAX_LINE", 1000)
    lines = client.watch(PODS, {"resourceVersion": "1"}, stalled_after=5)
    task = asyncio.ensure_future(anext(lines))
    await api.watched(PODS)
    for watcher in api._watchers:
        watcher.lines.put_nowait(b"x" * 2000)
    with pytest.raises(ApiError, match="longer than 1000 bytes"):
        await task


async def test_a_silent_watch_ends(api: KubernetesApi, client: Client) -> None:
    api.silent = True
    with pytest.raises(StopAsyncIteration):
        await anext(client.watch(PODS, {"resourceVersion": "1"}, stalled_after=0.05))


async def test_a_server_that_does_not_answer_is_not_waited_for(api: KubernetesApi, client: Client) -> None:
    api.delay = 60
    with pytest.raises(ApiError) as caught:
        await anext(client.watch(PODS, {"resourceVersion": "1"}, stalled_after=0.05))
    assert (caught.value.status, str(caught.value)) == (0, "no answer in time")


async def test_what_the_server_refuses_has_its_words(api: KubernetesApi, client: Client) -> None:
    with pytest.raises(ApiError, match="404 the server could not find"):
        await client.list("/apis/none/v1/namespaces/default/nones", {})
    api.failing[PODS] = (403, "pods is forbidden: User cannot list")
    with pytest.raises(ApiError, match="403 pods is forbidden"):
        await client.list(PODS, {})


async def test_a_server_that_is_gone_is_no_answer(api: KubernetesApi, client: Client) -> None:
    await api.stop()
    with pytest.raises(ApiError) as caught:
        await client.list(PODS, {})
    assert caught.value.status == 0


async def test_a_refused_token_is_read_again(api: KubernetesApi, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    api.token = "new"
    async with Client(Access(api.url, TokenFile(path, asyncio.get_running_loop().time))) as client:
        with pytest.raises(ApiError, match="401"):
            await client.list(PODS, {})
        path.write_text("new")
        await client.list(PODS, {})


async def test_a_missing_token_is_told(tmp_path: Path) -> None:
    async with Client(Access("http://x", TokenFile(tmp_path / "none", lambda: 0.0))) as client:
        with pytest.raises(ApiError, match="token file"):
            await client.get("/version")


async def test_tls_is_verified_by_the_clusters_authority(tmp_path: Path) -> None:
    pair = self_signed(["kubernetes"], [ip_address("127.0.0.1")], datetime.now(UTC))
    (tmp_path / "pair").write_bytes(pair.certificate + pair.key)
    api = KubernetesApi()
    api.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    api.tls.load_cert_chain(tmp_path / "pair")
    trusting = ssl.create_default_context(cadata=pair.certificate.decode())
    async with api:
        for tls, name, fine in (
            (trusting, None, True),
            (trusting, "kubernetes", True),
            (trusting, "other", False),
            (ssl.create_default_context(), None, False),
        ):
            async with Client(Access(api.url, Fixed(), tls, name)) as client:
                if fine:
                    assert (await client.list(PODS, {})).objects == []
                else:
                    with pytest.raises(ApiError, match="certificate"):
                        await client.list(PODS, {})
