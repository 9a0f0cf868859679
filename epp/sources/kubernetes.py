"""The Kubernetes API as a source: a pool, the pods that it selects, and what belongs to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from epp.kubernetes.access import Access
from epp.kubernetes.client import Client
from epp.kubernetes.collection import Collection
from epp.kubernetes.follow import Follower
from epp.kubernetes.objects import EXPERIMENTAL_GROUP, POLICY_GROUPS, POOL_VERSIONS, collection_path
from epp.kubernetes.pods import Pod, endpoints_of, read_pod
from epp.kubernetes.policies import Policy, PoolRef, merged, read_model, read_objective, read_rewrite
from epp.kubernetes.pools import POOL_READERS, Pool
from epp.kubernetes.watch import STALLED_AFTER
from epp.types import EndpointSpec, PoolSpec, Snapshot

_log = logging.getLogger(__name__)

# Seconds between two snapshots, so that a thousand pods that come together are a few changes. A change may be
# 200 ms old before the scheduler sees it, and the API needs its part of them.
SETTLE = 0.05

# References to other pools that are remembered, so that each is logged once.
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Target:
    """Whose endpoints are wanted: the pool of this name and group, in this namespace.

    With `selection` there is no such custom resource: that is the pool.
    """

    name: str
    namespace: str
    group: str
    selection: Pool | None = None


class KubernetesSource:
    """What the API says of the pool `target`.

    A server that is away changes nothing: what is known stays, and what happened meanwhile is found out when
    it is back. A pool that is deleted takes everything with it.
    """

    def __init__(self, access: Access, target: Target, *, stalled_after: float = STALLED_AFTER) -> None:
        self._access = access
        self._target = target
        self._stalled_after = stalled_after
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pools = Collection("inferencepools", POOL_READERS[target.group])
        self._policies: list[tuple[Collection[Policy], Follower]] = []
        self._pods = Collection("pods", read_pod)
        self._pods_task: asyncio.Task[None] | None = None
        self._selector: Mapping[str, str] | None = None  # of the pods that are followed
        self._specs: dict[str, tuple[Pod, tuple[EndpointSpec, ...]]] = {}
        self._ports: tuple[int, ...] = ()  # of those specs
        self._told: set[tuple[str, str, str]] = set()

    def __repr__(self) -> str:
        return (
            f"<KubernetesSource {self._target.namespace}/{self._target.name} pods={len(self._pods.objects)}>"
        )

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """See Source. Raises nothing: a server that cannot be reached is waited for."""
        async with Client(self._access) as client:
            try:
                self._begin(client)
                last: tuple[Any, ...] | None = None
                while True:
                    await self._news.wait()
                    self._news.clear()
                    for task in self._tasks:
                        if task.done():
                            task.result()  # they end with a bug only
                    pool = self._pool()
                    self._follow_pods(client, pool)
                    if self._is_known(pool):
                        current = (pool, self._pods, self._pods.changes, *self._policy_changes())
                        if current != last:
                            last = current
                            yield self._snapshot(pool)
                            await asyncio.sleep(SETTLE)
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    # Following ------------------------------------------------------------------------------------------

    def _begin(self, client: Client) -> None:
        target = self._target
        for group in POLICY_GROUPS:
            self._follow_policies(client, group, "inferenceobjectives", read_objective)
            self._follow_policies(client, group, "inferencemodelrewrites", read_rewrite)
        self._follow_policies(client, EXPERIMENTAL_GROUP, "inferencemodels", read_model)
        if target.selection is None:
            path = collection_path(
                target.group, POOL_VERSIONS[target.group], "inferencepools", target.namespace
            )
            params = {"fieldSelector": f"metadata.name={target.name}"}
            self._start(self._follower(client, path, self._pools, params), "pool")
        self._news.set()

    def _follow_policies(self, client: Client, group: str, plural: str, read: Any) -> None:
        collection: Collection[Policy] = Collection(f"{plural}.{group}", read)
        path = collection_path(group, "v1alpha2", plural, self._target.namespace)
        follower = self._follower(client, path, collection, {}, optional=True)
        self._policies.append((collection, follower))
        self._start(follower, collection.kind)

    def _follow_pods(self, client: Client, pool: Pool | None) -> None:
        """Follows the pods that the pool selects by now."""
        selector = pool.selector if pool else None
        if selector == self._selector:
            return
        self._selector = selector
        if self._pods_task is not None:
            self._pods_task.cancel()
        # What another selection found says nothing of this one.
        self._pods = Collection("pods", read_pod)
        self._specs = {}
        if selector is not None:
            path = collection_path("", "v1", "pods", self._target.namespace)
            params = {"labelSelector": ",".join(f"{key}={value}" for key, value in selector.items())}
            self._pods_task = self._start(self._follower(client, path, self._pods, params), "pods")

    def _follower(
        self,
        client: Client,
        path: str,
        collection: Collection[Any],
        params: Mapping[str, str],
        *,
        optional: bool = False,
    ) -> Follower:
        return Follower(
            client,
            path,
            collection,
            self._news.set,
            params=params,
            optional=optional,
            stalled_after=self._stalled_after,
        )

    def _start(self, follower: Follower, what: str) -> asyncio.Task[None]:
        task = asyncio.create_task(follower.run(), name=f"follow {what}")
        task.add_done_callback(self._ended)
        self._tasks.add(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._tasks.discard(task)
        self._news.set()

    # What is known --------------------------------------------------------------------------------------

    def _pool(self) -> Pool | None:
        """The pool; None if there is none, or none any more."""
        pool = self._target.selection or self._pools.objects.get(self._target.name)
        return None if pool is None or pool.deleted else pool

    def _is_known(self, pool: Pool | None) -> bool:
        """Whether enough is known to speak: a half would look like endpoints and objectives that went."""
        if not all(collection.heard or follower.tried for collection, follower in self._policies):
            return False
        return self._pods.heard if pool else self._pools.heard

    def _policy_changes(self) -> Iterator[int]:
        return (collection.changes for collection, _ in self._policies)

    def _snapshot(self, pool: Pool | None) -> Snapshot:
        target = self._target
        if pool is None:
            _log.warning(
                "there is no InferencePool %s/%s of group %s", target.namespace, target.name, target.group
            )
            return Snapshot(None)
        objectives, rewrites = merged(self._own_policies())
        return Snapshot(
            PoolSpec(target.name, target.namespace, pool.target_ports),
            tuple(self._endpoints(pool.target_ports)),
            objectives,
            rewrites,
        )

    def _endpoints(self, ports: tuple[int, ...]) -> Iterator[EndpointSpec]:
        # The specs of pods that did not change are the same objects, which are compared in no time.
        before, self._specs = self._specs, {}
        for name, pod in self._pods.objects.items():
            known = before.get(name)
            if known is None or known[0] is not pod or self._ports != ports:
                known = (pod, tuple(endpoints_of(pod, ports)))
            self._specs[name] = known
            yield from known[1]
        self._ports = ports

    def _own_policies(self) -> Iterator[Policy]:
        """The objects that name this pool; of others it is said once that they do not."""
        own = PoolRef(self._target.name, self._target.group)
        for collection, _ in self._policies:
            for policy in collection.objects.values():
                if policy.pool == own:
                    yield policy
                else:
                    self._tell(collection.kind, policy, own)

    def _tell(self, kind: str, policy: Policy, own: PoolRef) -> None:
        # One that names another pool of this group is that one's; the group is what people get wrong.
        level = logging.WARNING if policy.pool.name == own.name else logging.INFO
        key = (kind, policy.name, str(policy.pool))
        if key in self._told:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told.add(key)
        message = "%s %s is not for this pool: its poolRef names %s, not %s"
        _log.log(level, message, kind, policy.name, policy.pool, own)
