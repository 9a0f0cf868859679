"""Leader election against the API: reads and writes the Lease that epp.kubernetes.election decides on.

A leader that cannot reach the API server stays one until it reads that somebody else is. Why:
docs/decisions/leader-election.md.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from epp.kubernetes.access import Access
from epp.kubernetes.client import ApiError, Client
from epp.kubernetes.election import JITTER, RETRY_INTERVAL, Election, Lease
from epp.kubernetes.objects import collection_path

_log = logging.getLogger(__name__)

# Seconds that giving the lease back may take when the picker stops: the others wait only a little longer.
RESIGN_TIMEOUT = 2.0


class LeaderElection:
    """Campaigns for the lease of `election` in `namespace` while `run` runs."""

    def __init__(
        self,
        access: Access,
        namespace: str,
        election: Election,
        *,
        rng: random.Random | None = None,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._access = access
        self._path = collection_path("coordination.k8s.io", "v1", "leases", namespace)
        self._election = election
        self._rng = rng or random.Random()
        self._wall_clock = wall_clock
        self._trouble = ""

    @property
    def leading(self) -> bool:
        """Whether this picker is the leader."""
        return self._election.leading

    async def run(self) -> None:
        """Campaigns, and leads, until it is cancelled."""
        async with Client(self._access) as client:
            while True:
                led, leader = self._election.leading, self._election.leader
                try:
                    await self._look(client)
                    self._trouble = ""
                except (ApiError, msgspec.MsgspecError) as error:
                    self._report(error)
                if self._election.leading != led or self._election.leader != leader:
                    _log.info("the leader is %s%s", self._election.leader or "nobody", _who(self._election))
                await asyncio.sleep(RETRY_INTERVAL * self._rng.uniform(1.0, JITTER))

    async def resign(self) -> None:
        """Gives the lease back, if it is ours, in RESIGN_TIMEOUT at most. `run` has to have ended."""
        if not self._election.leading:
            return
        try:
            async with asyncio.timeout(RESIGN_TIMEOUT), Client(self._access) as client:
                lease = await self._get(client)
                claim = lease and self._election.resign(lease, self._wall_clock())
                if claim:
                    await client.update(f"{self._path}/{self._election.name}", claim)
                    _log.info("the lease is given back")
        except (ApiError, msgspec.MsgspecError, TimeoutError) as error:
            _log.warning("the lease could not be given back, it ends by itself: %s", error)

    async def _look(self, client: Client) -> None:
        clock = asyncio.get_running_loop().time
        lease = await self._get(client)
        # The time before the writing: the others count from when they see it, which is later.
        now = clock()
        claim = self._election.read(lease, now, self._wall_clock())
        if claim is None:
            return
        try:
            if lease is None:
                answer = await client.create(self._path, claim)
            else:
                answer = await client.update(f"{self._path}/{self._election.name}", claim)
        except ApiError as error:
            if error.status != 409:
                raise
            self._election.refused()
            return
        self._election.written(msgspec.json.decode(answer, type=Lease), now)

    async def _get(self, client: Client) -> Lease | None:
        try:
            answer = await client.get(f"{self._path}/{self._election.name}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return msgspec.json.decode(answer, type=Lease)

    def _report(self, error: Exception) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            _log.warning("the lease %s cannot be read or written: %s", self._election.name, error)


def _who(election: Election) -> str:
    return ", which is this picker" if election.leading else ""
