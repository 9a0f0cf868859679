"""A collection followed against an API server that cuts, expires, stalls and lies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from epp.kubernetes import follow, watch
from epp.kubernetes.access import Access
from epp.kubernetes.client import Client
from epp.kubernetes.collection import Collection
from epp.kubernetes.credentials import Fixed
from epp.kubernetes.follow import Follower
from tests.kubernetes_api import OBJECTIVES, PODS, KubernetesApi, pod


class Status(msgspec.Struct, rename={"ip": "podIP"}):
    ip: str


class Read(msgspec.Struct):
    status: Status


class Followed:
    """A follower at work, and a way to wait for what it hears."""

    def __init__(self, collection: Collection[Any]) -> None:
        self.collection = collection
        self.news = asyncio.Event()

    @property
    def names(self) -> set[str]:
        return set(self.collection.objects)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def following(api: KubernetesApi, path: str = PODS, **options: Any) -> AsyncIterator[Followed]:
    followed = Followed(Collection("pods", lambda raw: msgspec.json.decode(raw, type=Read)))
    async with Client(Access(api.url, Fixed())) as client:
        follower = Follower(client, path, followed.collection, followed.news.set, **options)
        task = asyncio.create_task(follower.run(), name="follower")
        try:
            yield followed
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(watch, "ABSENT_PAUSE", 0.01)


@pytest.fixture
async def api() -> AsyncIterator[KubernetesApi]:
    async with KubernetesApi() as api:
        api.put(PODS, pod("a", "10.0.0.1"))
        yield api


async def test_what_is_there_and_what_changes(api: KubernetesApi) -> None:
    async with following(api, params={"labelSelector": "app=vllm"}) as pods:
        await pods.until(lambda: pods.names == {"a"})
        api.put(PODS, pod("b"))
        await pods.until(lambda: pods.names == {"a", "b"})
        api.put(PODS, pod("a", labels={"app": "other"}))
        await pods.until(lambda: pods.names == {"b"})
        api.delete(PODS, "b")
        await pods.until(lambda: pods.names == set())
    assert api.lists(PODS) == 1


async def test_a_cut_loses_nothing_and_lists_nothing(api: KubernetesApi) -> None:
    async with following(api) as pods:
        await pods.until(lambda: pods.names == {"a"})
        for number in range(5):
            await api.watched(PODS)
            api.cut()
            api.put(PODS, pod(f"b{number}"))
            await pods.until(lambda number=number: f"b{number}" in pods.names)
    assert api.lists(PODS) == 1


async def test_an_expired_version_is_one_reset(api: KubernetesApi) -> None:
    async with following(api) as pods:
        await pods.until(lambda: pods.names == {"a"})
        await api.watched(PODS)
        changes = pods.collection.changes
        api.cut()  # what happens now is told to nobody
        api.put(PODS, pod("b"))
        api.put(PODS, pod("c"))
        api.delete(PODS, "a")
        api.forget()
        await pods.until(lambda: pods.names == {"b", "c"})
        assert pods.collection.changes == changes + 1
        await api.watched(PODS)
        api.expire()  # in the stream this time
        await pods.until(lambda: api.lists(PODS) == 3)
        assert pods.collection.changes == changes + 1


async def test_a_server_away_leaves_what_is_known(
    api: KubernetesApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with following(api) as pods:
        await pods.until(lambda: pods.names == {"a"})
        await api.stop()
        await pods.until(lambda: "what is known stays" in caplog.text)
        assert pods.names == {"a"}
        await api.start()
        api.put(PODS, pod("b"))
        await pods.until(lambda: pods.names == {"a", "b"})
    assert "pods are watched again" in caplog.text


async def test_a_stalled_watch_is_opened_again(api: KubernetesApi) -> None:
    async with following(api, stalled_after=0.05) as pods:
        await pods.until(lambda: pods.names == {"a"})
        api.silent = True
        await api.watched(PODS)
        api.put(PODS, pod("b"))  # told to nobody
        opened = len(api.requests)
        await pods.until(lambda: len(api.requests) > opened)
        api.silent = False
        await pods.until(lambda: pods.names == {"a", "b"})
    assert api.lists(PODS) == 1


async def test_garbage_on_the_wire_is_passed_over(api: KubernetesApi) -> None:
    async with following(api) as pods:
        await pods.until(lambda: pods.names == {"a"})
        await api.watched(PODS)
        for line in (b"garbage", b'{"type":"ADDED","object":{"metadata":{"name":"x"}}}', b"\xff\xfe"):
            api.say(PODS, line)
        api.put(PODS, pod("b"))
        await pods.until(lambda: pods.names == {"a", "b"})


async def test_a_kind_that_is_installed_later_is_found(api: KubernetesApi) -> None:
    api.installed.remove(PODS)
    async with following(api, optional=True) as pods:
        await pods.until(lambda: pods.collection.heard)
        assert pods.names == set()
        api.installed.add(PODS)
        await pods.until(lambda: pods.names == {"a"})


async def test_what_may_not_be_read_is_said_once(
    api: KubernetesApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    api.failing[OBJECTIVES] = (403, "inferenceobjectives is forbidden")
    async with following(api, OBJECTIVES, optional=True) as pods:
        await pods.until(lambda: api.lists(OBJECTIVES) > 3)
        assert not pods.collection.heard
    (record,) = caplog.records
    assert "inferenceobjectives is forbidden" in record.message
    assert record.levelno == logging.INFO


async def test_a_flood_of_events_lets_others_have_their_turn(
    api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_EVENTS_A_TURN", 1)
    async with following(api) as pods:
        await pods.until(lambda: pods.names == {"a"})
        for number in range(500):
            api.put(PODS, pod(f"b{number}"))
        await pods.until(lambda: len(pods.names) == 501)
