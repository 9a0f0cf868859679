"""What `epp up --demo` says in the end: who served what and why, and whether all went as picked. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epp.gateway.demo_requests import DemoRequest
from epp.tables import UNKNOWN, render_table

# A difference of scores that is not worth a word.
_NEGLIGIBLE = 0.005


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request; `decision` is the picker's record of it, if it has one."""

    request: DemoRequest
    status: int  # 0: no answer
    served_by: str  # ip:port, "" where the answer does not say
    problem: str  # what was wrong with the answer itself, "" for nothing
    decision: Mapping[str, Any] | None

    @property
    def failure(self) -> str:
        """Why this request did not go as it should; "" if it did."""
        if self.problem:
            return self.problem
        if self.status != 200:
            return f"HTTP {self.status}"
        if self.decision is None:
            return "the picker knows of no such request"
        picked = self.decision["picked"][0]
        return "" if picked == self.served_by else f"picked {picked}, served by {self.served_by or UNKNOWN}"


def render_report(outcomes: Sequence[Outcome]) -> list[str]:
    """The table of all requests, the table of the servers, and the verdict."""
    good = sum(not outcome.failure for outcome in outcomes)
    head = ("request", "api", "stream", "model", "objective", "served by", "why")
    return [
        *render_table(head, map(_row, outcomes)),
        "",
        *_by_server(outcomes),
        "",
        f"{good} of {len(outcomes)} requests got HTTP 200 from the server that the picker chose",
    ]


def explain(decision: Mapping[str, Any]) -> str:
    """Why the first of the picked endpoints won: what put it before the next best."""
    weights: Mapping[str, float] = decision["weights"]
    ranked = sorted(decision["candidates"], key=lambda each: -each["total"])
    winner = next(each for each in ranked if each["address"] == decision["picked"][0])
    rivals = [each for each in ranked if each is not winner]
    if not rivals:
        return "the only candidate"
    rival = rivals[0]
    lead = winner["total"] - rival["total"]
    if abs(lead) < _NEGLIGIBLE:
        return f"{winner['total']:.2f}, level with {rival['address']}, not used for longer"
    gains = {
        name.removesuffix("-scorer"): weight * (winner["scores"][name] - rival["scores"][name])
        for name, weight in weights.items()
    }
    reasons = [f"{name} {gain:+.2f}" for name, gain in _largest_first(gains) if abs(gain) >= _NEGLIGIBLE]
    return f"{winner['total']:.2f}, {lead:+.2f} to {rival['address']}: {', '.join(reasons)}"


def _largest_first(gains: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(gains.items(), key=lambda item: -abs(item[1]))


def _row(outcome: Outcome) -> tuple[str, ...]:
    request, decision = outcome.request, outcome.decision
    reason = explain(decision) if decision else ""
    return (
        request.id,
        request.api,
        "yes" if request.stream else "no",
        request.model,
        f"{request.objective or '-'} ({decision['priority'] if decision else UNKNOWN})",
        outcome.served_by or UNKNOWN,
        f"FAILED: {outcome.failure}" if outcome.failure else reason,
    )


def _by_server(outcomes: Iterable[Outcome]) -> list[str]:
    served = Counter((outcome.served_by, outcome.request.model) for outcome in outcomes)
    servers = sorted({server for server, _ in served})
    models = sorted({model for _, model in served})
    rows = ([server or UNKNOWN, *(str(served[server, model]) for model in models)] for server in servers)
    return render_table(["server", *models], rows)
