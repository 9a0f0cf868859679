"""InferencePools, in both of their versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from epp.kubernetes.objects import EXPERIMENTAL_GROUP, STABLE_GROUP, Metadata

# Names of a Deployment's pods: the Deployment's, its ReplicaSet's hash, their own.
_POD_NAME = re.compile(r"(.+)-[a-z0-9]+-[a-z0-9]+")

# What a pool without a custom resource is called where the picker does not know the name of its Deployment.
DEFAULT_POOL_NAME = "endpoints"

_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


@dataclass(frozen=True, slots=True)
class Pool:
    """What of an InferencePool matters to the picker."""

    selector: Mapping[str, str]
    target_ports: tuple[int, ...]
    deleted: bool = False  # about to go: whatever holds it back, the picker is not wanted any more


class _TargetPort(msgspec.Struct, frozen=True):
    number: _Port


class _Selector(msgspec.Struct, frozen=True, rename="camel"):
    match_labels: dict[str, str]


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    selector: _Selector
    target_ports: Annotated[list[_TargetPort], msgspec.Meta(min_length=1)]


class _Pool(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _Spec


class _OldSpec(msgspec.Struct, frozen=True, rename="camel"):
    selector: dict[str, str]
    target_port_number: _Port


class _OldPool(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _OldSpec


def _read_v1(raw: msgspec.Raw) -> Pool:
    read = msgspec.json.decode(raw, type=_Pool)
    ports = dict.fromkeys(port.number for port in read.spec.target_ports)
    return Pool(read.spec.selector.match_labels, tuple(ports), read.metadata.deletion_timestamp is not None)


def _read_v1alpha2(raw: msgspec.Raw) -> Pool:
    read = msgspec.json.decode(raw, type=_OldPool)
    ports = (read.spec.target_port_number,)
    return Pool(read.spec.selector, ports, read.metadata.deletion_timestamp is not None)


# Readers of InferencePool by --pool-group; each raises a msgspec error at what is none.
POOL_READERS: dict[str, Callable[[msgspec.Raw], Pool]] = {
    STABLE_GROUP: _read_v1,
    EXPERIMENTAL_GROUP: _read_v1alpha2,
}


def pool_name_of(pod_name: str) -> str:
    """The name of a pool that has no custom resource: that of the picker's Deployment, by its pod's name."""
    match = _POD_NAME.fullmatch(pod_name)
    return match[1] if match else pod_name or DEFAULT_POOL_NAME
