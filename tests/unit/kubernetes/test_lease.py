"""Leader election over a server that can be cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from epp.kubernetes import election, lease
from epp.kubernetes.access import Access
from epp.kubernetes.credentials import Fixed
from epp.kubernetes.election import Election
from epp.kubernetes.lease import LeaderElection
from tests.kubernetes_api import LEASES, KubernetesApi


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RETRY_INTERVAL", 0.01)
    monkeypatch.setattr(election, "LEASE_DURATION", 1)


@pytest.fixture
async def api() -> AsyncIterator[KubernetesApi]:
    async with KubernetesApi() as api:
        yield api


@asynccontextmanager
async def candidate(api: KubernetesApi, name: str) -> AsyncIterator[LeaderElection]:
    one = LeaderElection(Access(api.url, Fixed()), "default", Election("x", name))
    task = asyncio.create_task(one.run(), name=name)
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells of a leader
            await asyncio.sleep(0.005)


def holder(api: KubernetesApi) -> str:
    return str(api.objects[LEASES]["x"]["spec"]["holderIdentity"])


async def test_one_leads_and_gives_its_lease_back(api: KubernetesApi) -> None:
    async with candidate(api, "a") as a:
        await until(lambda: a.leading)
        async with candidate(api, "b") as b:
            looks = len(api.requests)
            await until(lambda: len(api.requests) > looks + 10)
            assert not b.leading
            first = a
        await b.resign()  # which it is not, so nothing happens
        assert holder(api) == "a"
    await first.resign()
    assert holder(api) == ""
    async with candidate(api, "b") as b:
        await until(lambda: b.leading)


async def test_a_dead_leader_is_replaced(api: KubernetesApi) -> None:
    async with candidate(api, "a") as a:
        await until(lambda: a.leading)
    async with candidate(api, "b") as b:
        await until(lambda: b.leading)


async def test_a_leader_without_a_server_leads_on(
    api: KubernetesApi, caplog: pytest.LogCaptureFixture
) -> None:
    async with candidate(api, "a") as a, candidate(api, "b") as b:
        await until(lambda: a.leading or b.leading)
        leader = a if a.leading else b
        await api.stop()
        await until(lambda: caplog.text.count("cannot be read or written") == 2)
        assert leader.leading
        assert not (a.leading and b.leading)
        await api.start()
        looks = len(api.requests)
        await until(lambda: len(api.requests) > looks + 10)
        assert leader.leading


async def test_a_leader_that_was_cut_off_sees_who_took_over(api: KubernetesApi) -> None:
    async with candidate(api, "a") as a:
        await until(lambda: a.leading)
        taken = api.objects[LEASES]["x"]
        taken["spec"]["holderIdentity"] = "b"
        api.put(LEASES, taken)
        await until(lambda: not a.leading)
    await a.resign()
    assert holder(api) == "b"


async def test_a_lease_that_may_not_be_read_makes_no_leader(
    api: KubernetesApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.failing[LEASES] = (403, "leases is forbidden")
    async with candidate(api, "a") as a:
        await until(lambda: len(api.requests) > 3)
        assert not a.leading
    assert caplog.text.count("leases is forbidden") == 1
