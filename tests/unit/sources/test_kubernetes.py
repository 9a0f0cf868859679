"""The Kubernetes API as a source, against an API server that comes, goes and changes its mind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from epp.kubernetes import watch
from epp.kubernetes.access import Access
from epp.kubernetes.credentials import Fixed
from epp.kubernetes.objects import EXPERIMENTAL_GROUP, STABLE_GROUP
from epp.kubernetes.pools import Pool
from epp.sources.kubernetes import KubernetesSource, Target
from epp.types import Objective, PoolSpec, Rewrite, RewriteTarget, Snapshot
from tests.kubernetes_api import (
    MODELS,
    OBJECTIVES,
    OLD_POOLS,
    PODS,
    POOLS,
    REWRITES,
    KubernetesApi,
    objective,
    pod,
    pool,
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(watch, "ABSENT_PAUSE", 0.05)


@pytest.fixture
async def api() -> AsyncIterator[KubernetesApi]:
    async with KubernetesApi() as api:
        api.put(POOLS, pool())
        api.put(PODS, pod("a", "10.0.0.1"))
        yield api


class Reader:
    """Reads snapshots until one is as it should be."""

    def __init__(self, snapshots: AsyncIterator[Snapshot]) -> None:
        self._snapshots = snapshots

    async def until(self, condition: Callable[[Snapshot], bool]) -> Snapshot:
        async with asyncio.timeout(10):
            async for snapshot in self._snapshots:
                if condition(snapshot):
                    return snapshot
        raise AssertionError("the source ended")


@asynccontextmanager
async def reading(
    api: KubernetesApi, group: str = STABLE_GROUP, selection: Pool | None = None
) -> AsyncIterator[Reader]:
    source = KubernetesSource(Access(api.url, Fixed()), Target("demo", "default", group, selection))
    async with aclosing(source.snapshots()) as snapshots:
        yield Reader(snapshots)


def names(snapshot: Snapshot) -> list[str]:
    return sorted(endpoint.name for endpoint in snapshot.endpoints)


def anything(_: Snapshot) -> bool:
    return True


async def test_the_first_snapshot_has_everything(api: KubernetesApi) -> None:
    api.put(PODS, pod("other", labels={"app": "other"}))
    api.put(POOLS, pool("other"))
    api.put(OBJECTIVES, objective("food", 2))
    targets = [{"modelRewrite": "y"}]
    spec = {"poolRef": {"name": "demo", "group": STABLE_GROUP}, "rules": [{"targets": targets}]}
    api.put(REWRITES, {"metadata": {"name": "r"}, "spec": spec})
    async with reading(api) as reader:
        snapshot = await reader.until(anything)
    assert snapshot.pool == PoolSpec("demo", "default", (8000,))
    assert names(snapshot) == ["a"]
    assert snapshot.objectives == (Objective("food", 2),)
    assert snapshot.rewrites == (Rewrite("r", (), (RewriteTarget("y"),)),)


async def test_pods_come_change_and_go(api: KubernetesApi) -> None:
    async with reading(api) as reader:
        await reader.until(anything)
        api.put(PODS, pod("b", "10.0.0.2", ready=False))
        await reader.until(lambda s: [e.ready for e in s.endpoints] == [True, False])
        api.put(PODS, pod("b", "10.0.0.2"))
        await reader.until(lambda s: [e.ready for e in s.endpoints] == [True, True])
        api.put(PODS, pod("a", deletionTimestamp="2026-01-01T00:00:00Z"))
        await reader.until(lambda s: [e.ready for e in s.endpoints] == [False, True])
        api.delete(PODS, "a")
        await reader.until(lambda s: names(s) == ["b"])


async def test_a_pool_that_changes_its_ports_or_its_selector(api: KubernetesApi) -> None:
    api.put(PODS, pod("z", "10.0.0.9", labels={"app": "sglang"}))
    async with reading(api) as reader:
        await reader.until(anything)
        api.put(POOLS, pool("demo", 8000, 8001))
        await reader.until(lambda s: names(s) == ["a-rank-0", "a-rank-1"])
        api.put(POOLS, pool("demo", 8000, app="sglang"))
        await reader.until(lambda s: names(s) == ["z"])


async def test_a_pool_that_comes_late_and_goes_again(
    api: KubernetesApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.delete(POOLS, "demo")
    async with reading(api) as reader:
        assert await reader.until(anything) == Snapshot(None)
        assert "there is no InferencePool default/demo" in caplog.text
        api.put(POOLS, pool())
        await reader.until(lambda s: names(s) == ["a"])
        going = pool()
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        api.put(POOLS, going)
        await reader.until(lambda s: s == Snapshot(None))


async def test_the_old_group_has_the_old_version(api: KubernetesApi) -> None:
    api.installed.add(OLD_POOLS)
    spec = {"selector": {"app": "vllm"}, "targetPortNumber": 8080, "extensionRef": {"name": "epp"}}
    api.put(OLD_POOLS, {"metadata": {"name": "demo"}, "spec": spec})
    async with reading(api, EXPERIMENTAL_GROUP) as reader:
        snapshot = await reader.until(anything)
    assert snapshot.pool == PoolSpec("demo", "default", (8080,))
    assert [endpoint.address for endpoint in snapshot.endpoints] == ["10.0.0.1:8080"]


async def test_without_a_pool_labels_select(api: KubernetesApi) -> None:
    async with reading(api, selection=Pool({"app": "vllm"}, (8000, 8001))) as reader:
        snapshot = await reader.until(anything)
    assert snapshot.pool == PoolSpec("demo", "default", (8000, 8001))
    assert names(snapshot) == ["a-rank-0", "a-rank-1"]
    assert not api.lists(POOLS)


async def test_a_wrong_reference_is_said_once(api: KubernetesApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api.put(OBJECTIVES, objective("wrong", 1, group=EXPERIMENTAL_GROUP))
    api.put(OBJECTIVES, objective("foreign", 1, pool="other"))
    async with reading(api) as reader:
        snapshot = await reader.until(anything)
        api.put(OBJECTIVES, objective("right", 1))
        await reader.until(lambda s: s.objectives == (Objective("right", 1),))
    assert snapshot.objectives == ()
    told = [(r.levelname, r.message.partition("names ")[2]) for r in caplog.records if "poolRef" in r.message]
    own = f"demo of group {STABLE_GROUP}"
    assert told == [
        ("WARNING", f"demo of group {EXPERIMENTAL_GROUP}, not {own}"),
        ("INFO", f"other of group {STABLE_GROUP}, not {own}"),
    ]


async def test_kinds_that_are_not_there_or_not_allowed_hold_nothing_up(api: KubernetesApi) -> None:
    api.installed -= {OBJECTIVES, REWRITES}
    api.failing["/apis/llm-d.ai"] = (403, "forbidden")
    async with reading(api) as reader:
        await reader.until(lambda s: names(s) == ["a"])
        api.installed.add(OBJECTIVES)
        api.put(OBJECTIVES, objective("food", 2))
        await reader.until(lambda s: s.objectives == (Objective("food", 2),))


async def test_inference_models_of_old(api: KubernetesApi) -> None:
    api.installed |= {OLD_POOLS, MODELS}
    spec = {"selector": {"app": "vllm"}, "targetPortNumber": 8000, "extensionRef": {"name": "epp"}}
    api.put(OLD_POOLS, {"metadata": {"name": "demo"}, "spec": spec})
    model = {
        "poolRef": {"name": "demo"},
        "modelName": "llama",
        "criticality": "Sheddable",
        "targetModels": [{"name": "llama-2", "weight": 1}],
    }
    api.put(MODELS, {"metadata": {"name": "m"}, "spec": model})
    async with reading(api, EXPERIMENTAL_GROUP) as reader:
        snapshot = await reader.until(anything)
    assert snapshot.objectives == (Objective("m", -1, model="llama"),)
    assert snapshot.rewrites == (Rewrite("m", ("llama",), (RewriteTarget("llama-2", 1),)),)


async def test_a_server_that_is_away_changes_nothing(api: KubernetesApi) -> None:
    async with reading(api) as reader:
        await reader.until(anything)
        await api.stop()
        following = asyncio.ensure_future(reader.until(anything))
        await api.start()
        api.put(PODS, pod("b", "10.0.0.2"))
        assert names(await following) == ["a", "b"]


async def test_a_server_that_is_late_is_waited_for(api: KubernetesApi) -> None:
    await api.stop()
    async with reading(api) as reader:
        first = asyncio.ensure_future(reader.until(anything))
        await asyncio.sleep(0)
        await api.start()
        assert names(await first) == ["a"]


async def test_a_thousand_changes_are_a_few_snapshots(api: KubernetesApi) -> None:
    async with reading(api) as reader:
        await reader.until(anything)
        seen = 0

        def complete(snapshot: Snapshot) -> bool:
            nonlocal seen
            seen += 1
            return len(snapshot.endpoints) == 1001

        for number in range(1000):
            api.put(PODS, pod(f"b{number}", f"10.1.{number // 250}.{number % 250}"))
        await reader.until(complete)
        assert seen < 100


async def test_nothing_is_left_when_the_reader_stops(api: KubernetesApi) -> None:
    async with reading(api) as reader:
        await reader.until(anything)
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("follow ")] == []
