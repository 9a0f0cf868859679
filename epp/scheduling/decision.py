"""A decision and its reasons, kept for those who ask later. No prompt is in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import numpy as np

from epp.datastore.endpoints import Endpoint, Floats, Slots
from epp.plugin import Terms
from epp.types import Api, InferenceRequest
from epp.wire.messages import HeaderList

# What /debug/decisions can show.
KEPT_DECISIONS = 1000

# Scores in all kept decisions: of pools beyond 100 endpoints fewer decisions are kept. 8 MB with ten numbers
# for a candidate.
KEPT_CANDIDATES = 100 * KEPT_DECISIONS

# Of each text that a client chose, so that what is kept is bounded: a UUID has 36, a model's name rarely 100.
KEPT_CHARACTERS = 256


NO_TERMS: Mapping[str, Terms] = MappingProxyType({})


class Removal(NamedTuple):
    """What a filter took out."""

    filter: str
    slots: Slots


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Where a request goes, and how every candidate scored. One value, or column, per candidate."""

    profile: str
    picked: tuple[Endpoint, ...]  # best first, the others are fallbacks in order
    candidates: Slots  # after the filters
    roster: tuple[Endpoint | None, ...]  # the pool's endpoints by slot, when this was decided
    removed: tuple[Removal, ...]
    scores: Floats  # a row for each scorer, 0 to 1, before the weight
    weights: Mapping[str, float]  # scorers in the order of the rows
    totals: Floats
    skipped: tuple[str, ...] = ()  # scorers that misbehaved; their rows are 0
    headers: HeaderList = ()  # to be set on the request
    others: tuple[Decision, ...] = ()  # of the other profiles that ran
    terms: Mapping[str, Terms] = NO_TERMS  # by scorer: what its scores are made of

    @property
    def destination(self) -> str:
        """The picked endpoints' addresses with commas, as the destination header wants them."""
        if len(self.picked) == 1:
            return self.picked[0].address
        return ",".join([endpoint.address for endpoint in self.picked])


class _Entry(NamedTuple):
    """A decision and what may be kept of its request: no body, of which the parsed one holds views."""

    request_id: str
    path: str
    api: Api
    model: str
    target_model: str
    objective: str
    priority: int
    stream: bool
    body_bytes: int
    decision: Decision


class DecisionLog:
    """The latest decisions, for /debug."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque(maxlen=KEPT_DECISIONS)
        self._candidates = 0

    def __repr__(self) -> str:
        return f"<DecisionLog {len(self._entries)} decisions>"

    @property
    def kept(self) -> int:
        """How many decisions it has."""
        return len(self._entries)

    def add(self, request: InferenceRequest, decision: Decision) -> None:
        """Keeps a decision until as many others have come as are kept."""
        entries, body = self._entries, request.body
        if len(entries) == KEPT_DECISIONS:
            self._forget_oldest()
        self._candidates += len(decision.candidates)
        entries.append(
            _Entry(
                request.id[:KEPT_CHARACTERS],
                request.path[:KEPT_CHARACTERS],
                body.api,
                body.model[:KEPT_CHARACTERS],
                request.target_model[:KEPT_CHARACTERS],
                request.controls.objective[:KEPT_CHARACTERS],
                request.priority,
                body.stream,
                request.size,
                decision,
            )
        )
        while self._candidates > KEPT_CANDIDATES and len(entries) > 1:
            self._forget_oldest()

    def latest(self, limit: int, request_id: str = "") -> list[dict[str, Any]]:
        """The newest decisions first, as JSON-ready dicts; only those of `request_id` if it is given."""
        chosen: Iterable[_Entry] = reversed(self._entries)
        if request_id:
            chosen = (entry for entry in chosen if entry.request_id == request_id[:KEPT_CHARACTERS])
        return [_describe(entry) for entry, _ in zip(chosen, range(limit), strict=False)]

    def _forget_oldest(self) -> None:
        self._candidates -= len(self._entries.popleft().decision.candidates)


def _describe(entry: _Entry) -> dict[str, Any]:
    return {
        "request_id": entry.request_id,
        "path": entry.path.partition("?")[0],
        "api": entry.api.value,
        "model": entry.model,
        "target_model": entry.target_model,
        "objective": entry.objective,
        "priority": entry.priority,
        "stream": entry.stream,
        "body_bytes": entry.body_bytes,
        **describe_decision(entry.decision),
    }


def describe_decision(decision: Decision) -> dict[str, Any]:
    """Why this endpoint, JSON-ready: `candidates` best first."""
    totals = decision.totals
    order = np.argsort(-totals, kind="stable").tolist()
    picked = [endpoint.address for endpoint in decision.picked]
    terms = {scorer: _told(tell, len(order)) for scorer, tell in decision.terms.items()}
    candidates = [_describe_candidate(decision, terms, index) for index in order]
    by_address = {each["address"]: each for each in candidates}
    chosen = by_address.pop(picked[0], None)
    # A picker that named fallbacks has said itself who is next.
    runner_up = by_address.get(picked[1]) if len(picked) > 1 else next(iter(by_address.values()), None)
    return {
        "profile": decision.profile,
        "picked": picked,
        "runner_up": runner_up["address"] if runner_up else None,
        "margin": chosen["total"] - runner_up["total"] if chosen and runner_up else None,
        "removed": {removal.filter: _names(decision, removal.slots) for removal in decision.removed},
        "weights": dict(decision.weights),
        "skipped": list(decision.skipped),
        "candidates": candidates,
        **({"others": [describe_decision(other) for other in decision.others]} if decision.others else {}),
    }


def _told(tell: Terms, count: int) -> dict[str, list[float]]:
    """A scorer's terms; none if it cannot tell them, which harms nobody."""
    try:
        told = {str(name): np.asarray(values, np.float64) for name, values in tell().items()}
    except Exception:
        return {}
    return {name: values.tolist() for name, values in told.items() if values.shape == (count,)}


def _describe_candidate(
    decision: Decision, terms: Mapping[str, Mapping[str, list[float]]], index: int
) -> dict[str, Any]:
    endpoint = decision.roster[int(decision.candidates[index])]
    assert endpoint is not None  # the roster is the one that the candidates were taken from
    raw = {name: float(row[index]) for name, row in zip(decision.weights, decision.scores, strict=True)}
    return {
        "endpoint": endpoint.spec.name,
        "address": endpoint.address,
        "total": float(decision.totals[index]),
        "scores": raw,
        "weighted": {name: raw[name] * weight for name, weight in decision.weights.items()},
        **({"terms": _terms(terms, index)} if terms else {}),
    }


def _terms(terms: Mapping[str, Mapping[str, list[float]]], index: int) -> dict[str, dict[str, float]]:
    return {
        scorer: {name: values[index] for name, values in named.items()} for scorer, named in terms.items()
    }


def _names(decision: Decision, slots: Slots) -> list[str]:
    seated = (decision.roster[slot] for slot in slots.tolist())
    return [endpoint.spec.name for endpoint in seated if endpoint is not None]
