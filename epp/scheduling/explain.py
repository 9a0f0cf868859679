"""A decision told to others: in a response header, in dynamic metadata, as a table for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from epp.scheduling.decision import Decision
from epp.tables import render_table

# Candidates in a header: the best ones. Proxies commonly take headers of 4 to 8 KB in all.
_CANDIDATES_IN_HEADER = 5
_HEADER_BYTES = 4000

# Candidates in dynamic metadata, the best ones: each costs Envoy a protobuf value.
_CANDIDATES_IN_METADATA = 100


def compact(decision: Decision) -> str:
    """One line of JSON in ASCII, of names and not addresses: clients may see it.

    Candidates are the best five, as [name, total, {scorer: score before its weight}].
    """
    picked = [endpoint.spec.name for endpoint in decision.picked]
    order = _best_first(decision)
    candidates = [_in_header(decision, index) for index in order[:_CANDIDATES_IN_HEADER]]
    totals = {name: total for name, total, _ in candidates}
    others = [name for name in totals if name != picked[0]]
    runner_up = picked[1] if len(picked) > 1 else next(iter(others), None)
    told: dict[str, Any] = {"profile": decision.profile, "picked": picked[0]}
    if runner_up is not None:
        told["runner_up"] = runner_up
        if picked[0] in totals and runner_up in totals:
            told["margin"] = round(totals[picked[0]] - totals[runner_up], 4)
    if decision.removed:
        told["removed"] = {removal.filter: len(removal.slots) for removal in decision.removed}
    if decision.skipped:
        told["skipped"] = list(decision.skipped)
    told["weights"] = dict(decision.weights)
    told["candidates"] = candidates
    while len(text := json.dumps(told, separators=(",", ":"))) > _HEADER_BYTES and candidates:
        candidates.pop()
    return text[:_HEADER_BYTES]


def endpoint_scores(decision: Decision) -> dict[str, float]:
    """The totals by address, of the best hundred."""
    return {
        endpoint.address: float(decision.totals[index])
        for index in _best_first(decision)[:_CANDIDATES_IN_METADATA]
        if (endpoint := decision.roster[int(decision.candidates[index])]) is not None
    }


def explanation(told: Mapping[str, Any]) -> Iterator[str]:
    """Lines for a terminal, of a decision as `/debug/decisions` describes it."""
    yield f"request   {told['request_id']}"
    model, target = told["model"], told["target_model"]
    yield f"model     {model if model == target else f'{model} -> {target}'}, priority {told['priority']}"
    yield from _profile(told)
    for other in told.get("others", ()):
        yield ""
        yield from _profile(other)


def _profile(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"profile   {told['profile']}"
    yield f"picked    {', '.join(told['picked'])}"
    if told["runner_up"] is not None:
        yield f"runner-up {told['runner_up']}, margin {told['margin']:.4g}"
    for name, endpoints in told["removed"].items():
        yield f"removed   by {name}: {', '.join(endpoints)}"
    for name in told["skipped"]:
        yield f"skipped   {name}: it misbehaved"
    yield ""
    weights = told["weights"]
    head = ["endpoint", "address", *(f"{name} x{weight:g}" for name, weight in weights.items()), "total"]
    yield from render_table(head, (_row(candidate) for candidate in told["candidates"]))
    for scorer in told["candidates"][0].get("terms", ()) if told["candidates"] else ():
        yield ""
        yield scorer
        yield from _terms(scorer, told["candidates"])


def _terms(scorer: str, candidates: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the scorer made its scores of."""
    rows = [(candidate["endpoint"], candidate["terms"][scorer]) for candidate in candidates]
    head = ["endpoint", *rows[0][1]]
    yield from render_table(
        head, ([name, *(f"{value:.3f}" for value in terms.values())] for name, terms in rows)
    )


def _row(candidate: Mapping[str, Any]) -> list[str]:
    scores = (f"{score:.4f}" for score in candidate["scores"].values())
    return [candidate["endpoint"], candidate["address"], *scores, f"{candidate['total']:.4f}"]


def _best_first(decision: Decision) -> list[int]:
    order: list[int] = np.argsort(-decision.totals, kind="stable").tolist()
    return order


def _in_header(decision: Decision, index: int) -> tuple[str, float, dict[str, float]]:
    endpoint = decision.roster[int(decision.candidates[index])]
    assert endpoint is not None  # the roster is the one that the candidates were taken from
    scores = {
        name: round(float(row[index]), 4) for name, row in zip(decision.weights, decision.scores, strict=True)
    }
    return endpoint.spec.name, round(float(decision.totals[index]), 4), scores
