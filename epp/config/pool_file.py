"""The pool file of `--pool-file`: the pool, its endpoints, objectives and rewrites, without Kubernetes.

    pool:
      name: demo                  # needed
      namespace: default          # default: --pool-namespace
      targetPorts: [8000]         # default; ports of every endpoint that names none
    endpoints:
      - address: 10.0.0.1         # needed: IPv4, IPv6 (2001:db8::1) or a host name
        name: gpu-a               # default: address:port
        port: 8000                # default: one endpoint for each target port, if there are several
                                  # named <name>-rank-<i>
        labels: {zone: a}
        engine: vllm              # default; also sglang, trtllm-serve, triton-tensorrt-llm; or by the label
                                  # inference.networking.k8s.io/engine-type
    objectives:
      - name: food-review         # what x-gateway-inference-objective says
        priority: 1               # default 0; negative: may be shed
    rewrites:
      - name: canary
        models: [food-review]     # default: every model
        targets:
          - model: food-review-2
            weight: 90            # 1 to 1,000,000; default: none, and if no target has one all are alike

Rules for named models go before rules for every model, otherwise the file's order decides. Limits are those
of the custom resources InferencePool, InferenceObjective and InferenceModelRewrite, and generous where they
have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from epp.config.constraints import Length, Pattern, Range, Unique, quote
from epp.config.document import Faults, child_path, parse_document
from epp.config.hosts import HostAddress, canonical_host
from epp.config.references import refuse_repeated
from epp.config.schema import Place, read_fields
from epp.config.suggestion import did_you_mean
from epp.types import EndpointSpec, Objective, PoolSpec, Rewrite, RewriteTarget, Snapshot, format_address

# The label by which the reference chooses an endpoint's metric names.
ENGINE_LABEL = "inference.networking.k8s.io/engine-type"

# What InferencePool's examples and the reference's charts use.
DEFAULT_TARGET_PORTS = (8000,)

Engine = Literal["vllm", "sglang", "trtllm-serve", "triton-tensorrt-llm"]
ENGINES: tuple[str, ...] = get_args(Engine)

Name = Annotated[str, Length(1, 253)]
Port = Annotated[int, Range(1, 65535)]
Namespace = Annotated[
    str,
    Pattern(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "1 to 63 lower-case letters, digits and dashes"),
]
Model = Annotated[str, Length(1, 4096)]
Priority = Annotated[int, Range(-(2**31), 2**31 - 1)]


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """`pool`."""

    name: Name
    namespace: Namespace | None = None
    target_ports: Annotated[tuple[Port, ...], Length(1, 8), Unique()] = DEFAULT_TARGET_PORTS


@dataclass(frozen=True, slots=True)
class EndpointEntry:
    """An item of `endpoints`."""

    place: Place
    address: Annotated[str, HostAddress()]
    name: Name | None = None
    port: Port | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    engine: Engine | None = None


@dataclass(frozen=True, slots=True)
class ObjectiveEntry:
    """An item of `objectives`."""

    place: Place
    name: Name
    priority: Priority = 0


@dataclass(frozen=True, slots=True)
class TargetEntry:
    """An item of a rewrite's `targets`."""

    model: Model
    weight: Annotated[int, Range(1, 1_000_000)] | None = None


@dataclass(frozen=True, slots=True)
class RewriteEntry:
    """An item of `rewrites`."""

    place: Place
    name: Name
    targets: Annotated[tuple[TargetEntry, ...], Length(1, 1000)]
    models: Annotated[tuple[Model, ...], Length(0, 1000)] = ()


@dataclass(frozen=True, slots=True)
class PoolFile:
    """The whole document."""

    pool: PoolEntry
    endpoints: tuple[EndpointEntry, ...] = ()
    objectives: tuple[ObjectiveEntry, ...] = ()
    rewrites: tuple[RewriteEntry, ...] = ()


def load_pool_file(text: str, file: str, *, namespace: str = "default") -> Snapshot:
    """What the pool file says. Hosts may be names; the source resolves them.

    `file` is what faults call it, `namespace` the pool's where the file gives none. ConfigError with every
    fault in it.
    """
    faults = Faults(file)
    root = parse_document(text, faults)
    values = read_fields(PoolFile, root, faults) if root else {}
    pool: PoolEntry | None = values.get("pool")
    ports = pool.target_ports if pool else DEFAULT_TARGET_PORTS
    endpoints = _expand(values.get("endpoints", ()), ports, faults)
    for section in ("objectives", "rewrites"):
        refuse_repeated("name", ((entry.name, entry.place) for entry in values.get(section, ())), faults)
    faults.raise_any()
    whole = PoolFile(**values)
    return Snapshot(
        pool=PoolSpec(whole.pool.name, whole.pool.namespace or namespace, whole.pool.target_ports),
        endpoints=endpoints,
        objectives=tuple(Objective(entry.name, entry.priority) for entry in whole.objectives),
        rewrites=_in_precedence(whole.rewrites),
    )


def _expand(
    entries: Iterable[EndpointEntry], ports: tuple[int, ...], faults: Faults
) -> tuple[EndpointSpec, ...]:
    """One endpoint for each port of each entry; no name and no address may come twice."""
    placed = [(spec, entry.place) for entry in entries for spec in _specs(entry, ports, faults)]
    taken = refuse_repeated("address", ((spec.address, place) for spec, place in placed), faults)
    others = ((spec.name, place) for spec, place in placed if taken[spec.address] == place)
    refuse_repeated("name", others, faults)
    return tuple(spec for spec, _ in placed)


def _specs(entry: EndpointEntry, target_ports: tuple[int, ...], faults: Faults) -> Iterator[EndpointSpec]:
    host = canonical_host(entry.address)
    engine = _engine(entry, faults)
    ports = (entry.port,) if entry.port else target_ports
    for rank, port in enumerate(ports):
        own_name = f"{entry.name}-rank-{rank}" if entry.name and len(ports) > 1 else entry.name
        yield EndpointSpec(own_name or format_address(host, port), host, port, entry.labels, engine)


def _engine(entry: EndpointEntry, faults: Faults) -> str:
    label = entry.labels.get(ENGINE_LABEL)
    place = entry.place
    if label is not None and label not in ENGINES:
        message = f"has to be one of {', '.join(ENGINES)}, not {quote(label)}{did_you_mean(label, ENGINES)}"
        faults.add(place.line, child_path(child_path(place.path, "labels"), ENGINE_LABEL), message)
    elif label and entry.engine and label != entry.engine:
        message = f"says {entry.engine}, but the label {ENGINE_LABEL} says {label}"
        faults.add(place.line, child_path(place.path, "engine"), message)
    return entry.engine or label or ENGINES[0]


def _in_precedence(entries: Iterable[RewriteEntry]) -> tuple[Rewrite, ...]:
    rewrites = (
        Rewrite(entry.name, entry.models, tuple(RewriteTarget(to.model, to.weight) for to in entry.targets))
        for entry in entries
    )
    return tuple(sorted(rewrites, key=lambda rewrite: not rewrite.models))
