"""What the picker does with an API server, whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from epp.kubernetes import lease, watch
from epp.kubernetes.election import Election
from epp.kubernetes.lease import LeaderElection
from epp.kubernetes.objects import EXPERIMENTAL_GROUP, STABLE_GROUP
from epp.kubernetes.pods import ACTIVE_PORTS
from epp.kubernetes.pools import Pool
from epp.kubernetes.reviews import Reviews
from epp.sources.kubernetes import KubernetesSource, Target
from epp.types import Objective, PoolSpec, Rewrite, RewriteTarget, Snapshot
from tests.e2e.process import PATIENCE, eventually
from tests.kubernetes.clusters import LLM_D_OBJECTIVES, Cluster
from tests.kubernetes_api import MODELS, OBJECTIVES, OLD_POOLS, PODS, POOLS, REWRITES, objective, pod, pool


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LONGEST_PAUSE", 0.5)
    monkeypatch.setattr(watch, "ABSENT_PAUSE", 1.0)  # a server that starts may say 404 for a while
    monkeypatch.setattr(lease, "RETRY_INTERVAL", 0.1)


class Reader:
    """Reads snapshots until one is as it should be."""

    def __init__(self, snapshots: AsyncIterator[Snapshot]) -> None:
        self._snapshots = snapshots

    async def until(self, condition: Callable[[Snapshot], bool]) -> Snapshot:
        async with asyncio.timeout(PATIENCE):
            async for snapshot in self._snapshots:
                if condition(snapshot):
                    return snapshot
        raise AssertionError("the source ended")


@asynccontextmanager
async def reading(
    cluster: Cluster, group: str = STABLE_GROUP, selection: Pool | None = None
) -> AsyncIterator[Reader]:
    source = KubernetesSource(cluster.access, Target("demo", "default", group, selection))
    async with aclosing(source.snapshots()) as snapshots:
        yield Reader(snapshots)


def ready(snapshot: Snapshot) -> dict[str, bool]:
    return {endpoint.name: endpoint.ready for endpoint in snapshot.endpoints}


async def test_a_pool_its_pods_and_what_belongs_to_it(cluster: Cluster) -> None:
    await cluster.put(POOLS, pool("demo", 8000))
    await cluster.put(PODS, pod("a", "10.1.0.1"))
    await cluster.put(PODS, pod("other", "10.1.0.9", labels={"app": "other"}))
    await cluster.put(OBJECTIVES, objective("food-review", 10))
    await cluster.put(OBJECTIVES, objective("foreign", 10, pool="other"))
    rules = [
        {"targets": [{"modelRewrite": "any"}]},
        {
            "matches": [{"model": {"value": "llama"}}],
            "targets": [{"modelRewrite": "v1", "weight": 9}, {"modelRewrite": "v2", "weight": 1}],
        },
    ]
    await cluster.put(
        REWRITES, {"metadata": {"name": "canary"}, "spec": {"poolRef": {"name": "demo"}, "rules": rules}}
    )
    async with reading(cluster) as reader:
        snapshot = await reader.until(lambda s: bool(s.endpoints))
        assert snapshot.pool == PoolSpec("demo", "default", (8000,))
        assert [(e.name, e.address, e.ready) for e in snapshot.endpoints] == [("a", "10.1.0.1:8000", True)]
        assert snapshot.objectives == (Objective("food-review", 10),)
        assert snapshot.rewrites == (
            Rewrite("canary", ("llama",), (RewriteTarget("v1", 9), RewriteTarget("v2", 1))),
            Rewrite("canary", (), (RewriteTarget("any"),)),
        )

        await cluster.put(PODS, pod("b", "10.1.0.2", ready=False))
        await reader.until(lambda s: ready(s) == {"a": True, "b": False})
        await cluster.put(PODS, pod("b", "10.1.0.2"))
        await reader.until(lambda s: ready(s) == {"a": True, "b": True})
        await cluster.terminate(PODS, "a")
        await reader.until(lambda s: ready(s) == {"a": False, "b": True})
        await cluster.put(PODS, pod("b", "10.1.0.2", annotations={ACTIVE_PORTS: "8001"}))
        await cluster.put(POOLS, pool("demo", 8000, 8001))
        await reader.until(lambda s: ready(s) == {"a-rank-0": False, "a-rank-1": False, "b-rank-1": True})
        await cluster.put(POOLS, pool("demo", 8000, app="other"))
        await reader.until(lambda s: ready(s) == {"other": True})
        await cluster.delete(POOLS, "demo")
        assert await reader.until(lambda s: s.pool is None) == Snapshot(None)


async def test_the_pool_of_old_with_its_models(cluster: Cluster) -> None:
    spec = {"selector": {"app": "vllm"}, "targetPortNumber": 8000, "extensionRef": {"name": "epp"}}
    await cluster.put(OLD_POOLS, {"metadata": {"name": "demo"}, "spec": spec})
    await cluster.put(PODS, pod("a", "10.1.0.1"))
    model = {"poolRef": {"name": "demo"}, "modelName": "llama", "criticality": "Sheddable"}
    await cluster.put(MODELS, {"metadata": {"name": "m"}, "spec": model})
    async with reading(cluster, EXPERIMENTAL_GROUP) as reader:
        snapshot = await reader.until(lambda s: bool(s.endpoints))
    assert ready(snapshot) == {"a": True}
    assert snapshot.objectives == (Objective("m", -1, model="llama"),)


async def test_labels_without_a_pool(cluster: Cluster) -> None:
    await cluster.put(PODS, pod("a", "10.1.0.1"))
    async with reading(cluster, selection=Pool({"app": "vllm"}, (8000, 8001))) as reader:
        await reader.until(lambda s: ready(s) == {"a-rank-0": True, "a-rank-1": True})


async def test_a_kind_installed_while_the_picker_runs(cluster: Cluster) -> None:
    await cluster.put(POOLS, pool())
    async with reading(cluster) as reader:
        await reader.until(lambda s: s.pool is not None)
        await cluster.install_llm_d()
        await cluster.put(LLM_D_OBJECTIVES, objective("late", 3))
        await reader.until(lambda s: s.objectives == (Objective("late", 3),))


async def test_a_server_that_goes_and_comes_back(cluster: Cluster) -> None:
    await cluster.put(POOLS, pool())
    await cluster.put(PODS, pod("a", "10.1.0.1"))
    async with reading(cluster) as reader:
        await reader.until(lambda s: ready(s) == {"a": True})
        await cluster.stop()
        following = asyncio.ensure_future(reader.until(lambda s: True))
        await cluster.start()
        await cluster.put(PODS, pod("b", "10.1.0.2"))
        assert ready(await following) == {"a": True, "b": True}  # and nothing less in between


async def test_hundreds_of_pods(cluster: Cluster) -> None:
    await cluster.put(POOLS, pool())
    async with reading(cluster) as reader:
        await reader.until(lambda s: s.pool is not None)
        for number in range(300):
            await cluster.put(PODS, pod(f"p{number}", f"10.2.{number // 250}.{number % 250 + 1}"))
        await reader.until(lambda s: len(s.endpoints) == 300)
        for number in range(0, 300, 2):
            await cluster.delete(PODS, f"p{number}")
        await reader.until(lambda s: set(ready(s)) == {f"p{number}" for number in range(1, 300, 2)})


async def test_one_leader_at_a_time(cluster: Cluster) -> None:
    a, b = (LeaderElection(cluster.access, "default", Election("epp-test", name)) for name in "ab")
    tasks = {one: asyncio.create_task(one.run(), name="campaign") for one in (a, b)}
    try:
        await eventually(lambda: a.leading or b.leading)
        leader, other = (a, b) if a.leading else (b, a)
        assert not other.leading
        tasks[leader].cancel()
        await asyncio.wait([tasks[leader]])
        await leader.resign()
        await eventually(lambda: other.leading)
        assert not leader.leading
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.wait(tasks.values())


async def test_who_may_read_metrics(cluster: Cluster) -> None:
    reviews = Reviews(cluster.access, lambda: 0.0)
    reader, stranger = await cluster.reader("reader"), await cluster.reader("stranger")
    await cluster.let_read("reader", "/metrics")

    async def status(token: str, path: str = "/metrics") -> int:
        return (await Reviews(cluster.access, lambda: 0.0).check(f"Bearer {token}", path)).status

    async def is_let_in() -> bool:  # RBAC takes a moment
        return await status(reader) == 200

    await eventually(is_let_in)
    assert await status(reader, "/debug/config") == 403
    assert await status(stranger) == 403
    assert await status("nobody") == 401
    assert (await reviews.check("", "/metrics")).status == 401
