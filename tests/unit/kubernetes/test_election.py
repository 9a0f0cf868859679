"""Elections as dialogues between candidates and a Lease."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from epp.kubernetes.election import LEASE_DURATION, Election, Lease, lease_name

WALL = datetime(2026, 1, 1, tzinfo=UTC)


class Server:
    """The Lease as a server keeps it."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.version = 0

    def write(self, claim: dict[str, Any]) -> Lease:
        self.version += 1
        claim["metadata"]["resourceVersion"] = str(self.version)
        self.lease = msgspec.json.decode(msgspec.json.encode(claim), type=Lease)
        return self.lease


def look(candidate: Election, server: Server, now: float) -> bool:
    """One look at the lease; whether the candidate leads then."""
    claim = candidate.read(server.lease, now, WALL)
    if claim is not None:
        candidate.written(server.write(claim), now)
    return candidate.leading


def test_the_name_is_the_references() -> None:
    assert lease_name("demo", "prod") == "epp-prod-demo.gateway-api-inference-extension.sigs.k8s.io"


def test_the_first_leads_and_renews_and_the_second_waits() -> None:
    server, a, b = Server(), Election("x", "a"), Election("x", "b")
    for now in range(0, 100, 2):
        assert look(a, server, now)
        assert not look(b, server, now + 1)
    assert b.leader == "a"
    assert server.lease is not None
    assert server.lease.spec.lease_transitions == 0


def test_a_leader_that_died_is_replaced_when_its_lease_has_ended() -> None:
    server, a, b = Server(), Election("x", "a"), Election("x", "b")
    look(a, server, 0)
    taken_at = next(now for now in range(1, 100, 2) if look(b, server, now))
    assert LEASE_DURATION <= taken_at < 20
    assert server.lease is not None
    assert server.lease.spec.lease_transitions == 1
    assert not look(a, server, taken_at + 1)  # it was only away
    assert a.leader == "b"


def test_times_in_the_lease_are_not_compared_with_clocks() -> None:
    server, a, b = Server(), Election("x", "a"), Election("x", "b")
    look(a, server, 1_000_000)
    assert not look(b, server, 0)
    assert not look(b, server, LEASE_DURATION - 1)
    assert look(b, server, LEASE_DURATION)


def test_a_lease_given_back_is_taken_at_the_next_look() -> None:
    server, a, b = Server(), Election("x", "a"), Election("x", "b")
    look(a, server, 0)
    assert not look(b, server, 1)
    assert server.lease is not None
    given_back = a.resign(server.lease, WALL)
    assert given_back is not None
    server.write(given_back)
    assert not a.leading
    assert look(b, server, 2)
    assert server.lease is not None
    assert a.resign(server.lease, WALL) is None


def test_of_two_writers_the_slower_one_does_not_lead() -> None:
    server, a, b = Server(), Election("x", "a"), Election("x", "b")
    claim = b.read(None, 0, WALL)
    assert claim is not None
    assert look(a, server, 0)
    b.refused()  # the server's 409
    assert not b.leading
    assert not look(b, server, 2)


def test_the_object_is_whole() -> None:
    claim = Election("x", "a").read(None, 0, WALL)
    assert msgspec.to_builtins(claim) == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "x"},
        "spec": {
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "renewTime": "2026-01-01T00:00:00.000000Z",
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "leaseTransitions": 0,
        },
    }
