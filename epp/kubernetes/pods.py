"""Pods as endpoints.

| pod | endpoint |
|---|---|
| has an address, Ready, not terminating | a candidate |
| terminating, or no longer Ready | kept for what is known of it and runs on it, but gets no new requests |
| starting, finished, without an address | none |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from epp.config.pool_file import ENGINE_LABEL, ENGINES
from epp.kubernetes.objects import Metadata
from epp.types import EndpointSpec

# Restricts a pod's endpoints to these of the pool's target ports, as "8000,8001" (the reference's).
ACTIVE_PORTS = "inference.networking.k8s.io/active-ports"

# Phases of pods whose servers do not run. A pod without a phase is judged by its condition alone.
_NOT_RUNNING = frozenset({"Pending", "Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Pod:
    """What of a pod matters to the picker."""

    name: str
    ip: str  # "": not an endpoint
    ready: bool
    labels: Mapping[str, str]
    active_ports: frozenset[int] | None  # None: all
    engine: str


class _Condition(msgspec.Struct, frozen=True):
    type: str
    status: str


class _Status(msgspec.Struct, frozen=True):
    phase: str = ""
    ip: str = msgspec.field(name="podIP", default="")
    conditions: list[_Condition] | None = None


class _Pod(msgspec.Struct, frozen=True):
    metadata: Metadata
    status: _Status = _Status()


_decoder = msgspec.json.Decoder(_Pod)


def read_pod(raw: msgspec.Raw) -> Pod:
    """The pod that `raw` says. A msgspec error if it is none."""
    read = _decoder.decode(raw)
    metadata, status = read.metadata, read.status
    is_ready = any(c.type == "Ready" and c.status == "True" for c in status.conditions or ())
    labels = metadata.labels or {}
    engine = labels.get(ENGINE_LABEL, "")
    return Pod(
        name=metadata.name,
        ip=status.ip if is_ready or status.phase not in _NOT_RUNNING else "",
        ready=is_ready and metadata.deletion_timestamp is None,
        labels=labels,
        active_ports=_ports((metadata.annotations or {}).get(ACTIVE_PORTS, "")),
        engine=engine if engine in ENGINES else ENGINES[0],
    )


def endpoints_of(pod: Pod, target_ports: tuple[int, ...]) -> Iterator[EndpointSpec]:
    """An endpoint for each active target port; named by the pod, and by rank if there are several ports."""
    if not pod.ip:
        return
    for rank, port in enumerate(target_ports):
        if pod.active_ports is None or port in pod.active_ports:
            name = f"{pod.name}-rank-{rank}" if len(target_ports) > 1 else pod.name
            yield EndpointSpec(name, pod.ip, port, pod.labels, pod.engine, pod.ready)


def _ports(text: str) -> frozenset[int] | None:
    """The ports of the annotation; words that are none match no port."""
    if not text.strip():
        return None
    words = (word.strip() for word in text.split(","))
    return frozenset(int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 6)
