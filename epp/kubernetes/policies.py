"""What a pool's users say of their requests: InferenceObjective, InferenceModelRewrite, and InferenceModel,
which was both before release 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from epp.kubernetes.objects import EXPERIMENTAL_GROUP, STABLE_GROUP, Metadata
from epp.types import DEFAULT_PRIORITY, Objective, Rewrite, RewriteTarget

Criticality = Literal["Critical", "Standard", "Sheddable"]

# What a criticality is as a priority: the order alone matters, and that below 0 a request may be shed.
PRIORITIES: dict[Criticality, int] = {"Critical": 1, "Standard": DEFAULT_PRIORITY, "Sheddable": -1}


@dataclass(frozen=True, slots=True)
class PoolRef:
    """The pool that something belongs to."""

    name: str
    group: str

    def __str__(self) -> str:
        return f"{self.name} of group {self.group}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What one object says, whatever its kind, of which pool."""

    name: str
    pool: PoolRef
    created: str  # RFC 3339
    objectives: tuple[Objective, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()


class _Ref(msgspec.Struct, frozen=True):
    name: str
    group: str | None = None


class _ObjectiveSpec(msgspec.Struct, frozen=True, rename="camel"):
    pool_ref: _Ref
    priority: int | None = None


class _Objective(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _ObjectiveSpec


_Weight = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class _Model(msgspec.Struct, frozen=True):
    value: str
    type: Literal["Exact"] = "Exact"


class _Match(msgspec.Struct, frozen=True):
    model: _Model | None = None


class _Target(msgspec.Struct, frozen=True, rename="camel"):
    model_rewrite: str
    weight: _Weight | None = None


class _Rule(msgspec.Struct, frozen=True):
    targets: Annotated[list[_Target], msgspec.Meta(min_length=1)]
    matches: list[_Match] | None = None


class _RewriteSpec(msgspec.Struct, frozen=True, rename="camel"):
    pool_ref: _Ref
    rules: list[_Rule]


class _Rewrite(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _RewriteSpec


class _TargetModel(msgspec.Struct, frozen=True):
    name: str
    weight: _Weight | None = None


class _ModelSpec(msgspec.Struct, frozen=True, rename="camel"):
    pool_ref: _Ref
    model_name: str
    criticality: Criticality | None = None
    target_models: list[_TargetModel] | None = None


class _InferenceModel(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _ModelSpec


def read_objective(raw: msgspec.Raw) -> Policy:
    """An InferenceObjective. A msgspec error if it is none, as from the others."""
    read = msgspec.json.decode(raw, type=_Objective)
    name, priority = read.metadata.name, read.spec.priority
    objective = Objective(name, DEFAULT_PRIORITY if priority is None else priority)
    return _policy(read.metadata, read.spec.pool_ref, STABLE_GROUP, objectives=(objective,))


def read_rewrite(raw: msgspec.Raw) -> Policy:
    """An InferenceModelRewrite: its rules in their order."""
    read = msgspec.json.decode(raw, type=_Rewrite)
    name = read.metadata.name
    rules = tuple(Rewrite(name, _models(rule.matches), _targets(rule)) for rule in read.spec.rules)
    return _policy(read.metadata, read.spec.pool_ref, STABLE_GROUP, rewrites=rules)


def read_model(raw: msgspec.Raw) -> Policy:
    """An InferenceModel: a priority for those who ask for the model, and the models that they get."""
    read = msgspec.json.decode(raw, type=_InferenceModel)
    name, spec = read.metadata.name, read.spec
    objective = Objective(name, PRIORITIES[spec.criticality or "Standard"], model=spec.model_name)
    targets = tuple(RewriteTarget(target.name, target.weight) for target in spec.target_models or ())
    rewrites = (Rewrite(name, (spec.model_name,), targets),) if targets else ()
    return _policy(
        read.metadata, spec.pool_ref, EXPERIMENTAL_GROUP, objectives=(objective,), rewrites=rewrites
    )


def merged(policies: Iterable[Policy]) -> tuple[tuple[Objective, ...], tuple[Rewrite, ...]]:
    """All objectives, each name and model once, and all rewrites in order of precedence.

    Older objects come first, and of two as old the one whose name does; rules that name models before those
    for every model.
    """
    ordered = sorted(policies, key=lambda policy: (policy.created, policy.name))
    objectives: dict[tuple[str, str], Objective] = {}
    for objective in (objective for policy in ordered for objective in policy.objectives):
        key = ("", objective.model) if objective.model else (objective.name, "")
        objectives.setdefault(key, objective)
    rewrites = [rewrite for policy in ordered for rewrite in policy.rewrites]
    return tuple(objectives.values()), tuple(sorted(rewrites, key=lambda rewrite: not rewrite.models))


def _policy(
    metadata: Metadata,
    ref: _Ref,
    default_group: str,
    *,
    objectives: tuple[Objective, ...] = (),
    rewrites: tuple[Rewrite, ...] = (),
) -> Policy:
    # The CRD's default is filled in by the API server; an unset group is the same.
    group = default_group if ref.group is None else ref.group
    return Policy(metadata.name, PoolRef(ref.name, group), metadata.creation_timestamp, objectives, rewrites)


def _models(matches: list[_Match] | None) -> tuple[str, ...]:
    """The models that a rule is for; () for all, which one match without a model suffices for."""
    models = tuple(_values(matches or ()))
    return () if len(models) < len(matches or ()) else models


def _values(matches: Iterable[_Match]) -> Iterator[str]:
    for match in matches:
        if match.model is not None:
            yield match.model.value


def _targets(rule: _Rule) -> tuple[RewriteTarget, ...]:
    return tuple(RewriteTarget(target.model_rewrite, target.weight) for target in rule.targets)
