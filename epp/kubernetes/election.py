"""Who leads, by a Lease: what a candidate does with what it reads. client-go's rules, and its times.

    nobody's, ended, or mine ──▶ write it with my name; if that goes through, I lead
    somebody else's          ──▶ wait; it has ended if it did not change for as long as it says

Time is this process' own alone, so clocks may differ: a lease is alive for its duration after a change was
seen.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

# Seconds that a lease holds without being renewed, and between two looks at it: controller-runtime's. A
# leader that died is replaced after 15 s and at most one look more.
LEASE_DURATION = 15
RETRY_INTERVAL = 2.0

# The longest pause between two looks, as a part of RETRY_INTERVAL: so that candidates do not look together.
JITTER = 1.2


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a Lease that says who holds it."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None
    acquire_time: str | None = None
    lease_transitions: int | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class Lease(msgspec.Struct, frozen=True):
    """A Lease of coordination.k8s.io/v1."""

    metadata: _Metadata = _Metadata()
    spec: LeaseSpec = LeaseSpec()


def lease_name(pool: str, namespace: str) -> str:
    """The lease's name, the reference's: pickers of both kinds of one pool have one leader between them."""
    return f"epp-{namespace}-{pool}.gateway-api-inference-extension.sigs.k8s.io"


class Election:
    """One candidate for the lease `name`. `identity` has to be its own alone."""

    def __init__(self, name: str, identity: str) -> None:
        self.name = name
        self.leading = False
        self._identity = identity
        self._seen: Lease | None = None
        self._seen_at = 0.0

    def __repr__(self) -> str:
        return f"<Election {self.name} {self._identity} leading={self.leading}>"

    @property
    def leader(self) -> str:
        """The identity of who led when the lease was read last; "" if nobody did."""
        return (self._seen.spec.holder_identity or "") if self._seen else ""

    def read(self, lease: Lease | None, now: float, wall: datetime) -> dict[str, Any] | None:
        """The lease as it was read, None if there is none. Returns the object to write, or None to wait.

        `now` in monotonic seconds; `wall` goes into the object, for people.
        """
        spec = lease.spec if lease else LeaseSpec()
        if lease != self._seen:
            self._seen, self._seen_at = lease, now
        if not self._is_free(spec, now):
            self.leading = False
            return None
        return self._claim(lease, spec, wall)

    def written(self, lease: Lease, now: float) -> None:
        """The object from `read` was accepted; it was sent at `now`."""
        self.leading = True
        self._seen, self._seen_at = lease, now

    def refused(self) -> None:
        """Somebody else wrote first: the next look tells who."""
        self.leading = False

    def resign(self, lease: Lease, wall: datetime) -> dict[str, Any] | None:
        """The object to write so that others need not wait; None if the lease is somebody else's."""
        self.leading = False
        if lease.spec.holder_identity != self._identity:
            return None
        spec = msgspec.structs.replace(
            lease.spec, holder_identity="", lease_duration_seconds=1, renew_time=_micro_time(wall)
        )
        return self._object(lease, spec)

    def _is_free(self, spec: LeaseSpec, now: float) -> bool:
        if not spec.holder_identity or spec.holder_identity == self._identity:
            return True
        return now - self._seen_at >= (spec.lease_duration_seconds or LEASE_DURATION)

    def _claim(self, lease: Lease | None, spec: LeaseSpec, wall: datetime) -> dict[str, Any]:
        time, is_mine = _micro_time(wall), spec.holder_identity == self._identity
        claim = LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=LEASE_DURATION,
            renew_time=time,
            acquire_time=spec.acquire_time if is_mine else time,
            lease_transitions=(spec.lease_transitions or 0) + (not is_mine and lease is not None),
        )
        return self._object(lease, claim)

    def _object(self, lease: Lease | None, spec: LeaseSpec) -> dict[str, Any]:
        metadata = {"name": self.name}
        if lease is not None:
            metadata["resourceVersion"] = lease.metadata.resource_version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }


def _micro_time(wall: datetime) -> str:
    return wall.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
