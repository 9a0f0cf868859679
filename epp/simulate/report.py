"""The numbers of several runs as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import isnan
from typing import Any

from epp.simulate.measures import QUANTILES, Measures

_NAMES = [f"p{quantile}" for quantile in QUANTILES]

# Heading, and how a run's cell reads.
_COLUMNS: tuple[tuple[str, Callable[[Measures], str]], ...] = (
    *((f"TTFT {n} ms", lambda m, n=n: _ms(m.ttft[n])) for n in _NAMES),
    *((f"TPOT {n} ms", lambda m, n=n: _ms(m.tpot[n])) for n in _NAMES),
    ("in SLO", lambda m: f"{m.in_slo:.1%}"),
    ("good/s", lambda m: f"{m.goodput:.2f}"),
    ("req/s", lambda m: f"{m.requests_per_second:.2f}"),
    ("out tok/s", lambda m: f"{m.output_tokens_per_second:.0f}"),
    ("hits", lambda m: f"{m.prefix_hit_rate:.1%}"),
    ("preempted", lambda m: str(m.preemptions)),
    ("loads", lambda m: str(m.adapter_loads)),
    ("imbalance", lambda m: f"{m.imbalance:.2f}"),
    ("shed", lambda m: " ".join(f"{number} of {each}" for each, number in m.shed.items()) or "0"),
)


def table(runs: Mapping[str, Measures]) -> str:
    """A line for each policy, columns as wide as they need."""
    rows = [["policy", *(heading for heading, _ in _COLUMNS)]]
    rows += [[name, *(cell(measures) for _, cell in _COLUMNS)] for name, measures in runs.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(_line(row, widths) for row in rows)


def document(settings: Mapping[str, Any], runs: Mapping[str, Measures]) -> str:
    """JSON with the settings and each policy's numbers; what is not known is null."""
    results = {name: _known(asdict(measures)) for name, measures in runs.items()}
    return json.dumps({"settings": settings, "policies": results}, indent=2) + "\n"


def _line(row: list[str], widths: list[int]) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *numbers]) + "\n"


def _ms(seconds: float) -> str:
    return "-" if isnan(seconds) else f"{1000 * seconds:.0f}"


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    return None if isinstance(value, float) and isnan(value) else value
