"""A decision and its reasons, kept for those who ask later. No prompt is in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from epp.datastore.endpoints import Endpoint, Floats, Slots
from epp.types import InferenceRequest

# What /debug/decisions can show.
KEPT_DECISIONS = 1000

# Of each text that a client chose, so that what is kept is bounded: a UUID has 36, a model's name rarely 100.
KEPT_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a request goes, and how every candidate scored. Arrays have one value per candidate."""

    profile: str
    picked: tuple[Endpoint, ...]  # best first, the others are fallbacks in order
    candidates: Slots  # after the filters
    roster: tuple[Endpoint | None, ...]  # the pool's endpoints by slot, when this was decided
    removed: Mapping[str, int]  # filter -> candidates that it took out
    scores: Mapping[str, Floats]  # scorer -> its scores, before the weight
    weights: Mapping[str, float]
    totals: Floats

    @property
    def destination(self) -> str:
        """The picked endpoints' addresses with commas, as the destination header wants them."""
        return ",".join(endpoint.spec.address for endpoint in self.picked)


@dataclass(frozen=True, slots=True)
class _Entry:
    request: dict[str, Any]
    decision: Decision


class DecisionLog:
    """The latest decisions, for /debug."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque(maxlen=KEPT_DECISIONS)

    def add(self, request: InferenceRequest, decision: Decision) -> None:
        """Keeps a decision until a thousand others have come."""
        self._entries.append(_Entry(_describe_request(request), decision))

    def latest(self, limit: int, request_id: str = "") -> list[dict[str, Any]]:
        """The newest decisions first, as JSON-ready dicts; only those of `request_id` if it is given."""
        chosen: Iterable[_Entry] = reversed(self._entries)
        if request_id:
            chosen = (entry for entry in chosen if entry.request["request_id"] == request_id)
        return [_describe(entry) for entry, _ in zip(chosen, range(limit), strict=False)]


def _describe_request(request: InferenceRequest) -> dict[str, Any]:
    """What may be kept of a request: no body, of which the parsed one holds views, and no headers."""
    return {
        "request_id": request.id[:KEPT_CHARACTERS],
        "path": request.path.partition("?")[0][:KEPT_CHARACTERS],
        "api": request.body.api.value,
        "model": request.body.model[:KEPT_CHARACTERS],
        "target_model": request.target_model[:KEPT_CHARACTERS],
        "objective": request.controls.objective[:KEPT_CHARACTERS],
        "priority": request.priority,
        "stream": request.body.stream,
        "body_bytes": request.size,
    }


def _describe(entry: _Entry) -> dict[str, Any]:
    decision = entry.decision
    return {
        **entry.request,
        "profile": decision.profile,
        "picked": [endpoint.spec.address for endpoint in decision.picked],
        "removed": dict(decision.removed),
        "weights": dict(decision.weights),
        "candidates": [
            {
                "endpoint": endpoint.spec.name,
                "address": endpoint.spec.address,
                "total": float(total),
                "scores": {name: float(values[index]) for name, values in decision.scores.items()},
            }
            for index, (slot, total) in enumerate(zip(decision.candidates, decision.totals, strict=True))
            if (endpoint := decision.roster[slot]) is not None
        ],
    }
