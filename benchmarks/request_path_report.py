"""What the runs of benchmarks/request_path.py come to: a row for each cell, and the rows as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.lag import Lag

PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9}


class Cell(NamedTuple):
    """What is measured together."""

    body: int  # bytes
    concurrency: int  # clients
    arrangement: str


@dataclass(frozen=True)
class Round:
    """One run. CPU times in seconds."""

    latencies_us: list[int]  # of the answers that were right
    wrong: int
    seconds: float
    envoy_cpu: float
    picker_cpu: float
    picker_bytes: int
    lag: Lag


Cells = dict[Cell, list[Round]]


def rows_of(cells: Cells) -> list[dict[str, Any]]:
    """A row for each cell: what was measured, and beside other arrangements with the same load."""
    totals = {cell: _total(rounds) for cell, rounds in cells.items()}
    for cell, total in totals.items():
        alone = totals.get(cell._replace(arrangement="envoy"))
        minimal = totals.get(cell._replace(arrangement="minimal"))
        if not total["picker_us"]:
            continue
        total["picker_to_envoy"] = total["picker_us"] / total["envoy_us"]
        if minimal:
            total["picker_to_minimal"] = total["picker_us"] / minimal["picker_us"]
        if alone:
            total |= {f"added_{name}_ms": total[f"{name}_ms"] - alone[f"{name}_ms"] for name in PERCENTILES}
    return [{**cell._asdict(), **total} for cell, total in totals.items()]


def _total(rounds: list[Round]) -> dict[str, Any]:
    latencies = [latency for each in rounds for latency in each.latencies_us] or [0]
    requests = sum(len(each.latencies_us) for each in rounds)
    wrong = sum(each.wrong for each in rounds)
    lag = sum((each.lag for each in rounds), Lag())
    percentiles = np.percentile(latencies, list(PERCENTILES.values())) / 1e3
    return {
        "requests": requests,
        "wrong": wrong,
        "per_second": requests / sum(each.seconds for each in rounds),
        "envoy_us": sum(each.envoy_cpu for each in rounds) / max(1, requests + wrong) * 1e6,
        "picker_us": sum(each.picker_cpu for each in rounds) / max(1, requests + wrong) * 1e6,
        "picker_mb": max(each.picker_bytes for each in rounds) / 1e6,
        "lag_p99_ms": lag.within(0.99) * 1e3,
        "lag_max_ms": lag.within(1.0) * 1e3,
        **{f"{name}_ms": float(value) for name, value in zip(PERCENTILES, percentiles, strict=True)},
    }


_COLUMNS = {
    "body": ("body B", "{}"),
    "concurrency": ("clients", "{}"),
    "arrangement": ("arrangement", "{}"),
    "envoy_us": ("Envoy µs", "{:.0f}"),
    "picker_us": ("picker µs", "{:.0f}"),
    "picker_to_envoy": ("/Envoy", "{:.2f}"),
    "picker_to_minimal": ("/minimal", "{:.2f}"),
    "per_second": ("requests/s", "{:.0f}"),
    "p50_ms": ("p50 ms", "{:.1f}"),
    **{f"added_{name}_ms": (f"+{name} ms", "{:.1f}") for name in PERCENTILES},
    "picker_mb": ("MB", "{:.0f}"),
    "lag_p99_ms": ("lag p99 ms", "{:.0f}"),
    "lag_max_ms": ("lag max ms", "{:.0f}"),
    "requests": ("requests", "{:.0f}"),
    "wrong": ("wrong", "{:.0f}"),
}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown; a cell is empty where there is nothing to tell."""
    lines = [[title for title, _ in _COLUMNS.values()]]
    for row in rows:
        told = {**row, "wrong": str(row["wrong"])}
        lines.append([_text(form, told.get(key)) for key, (_, form) in _COLUMNS.items()])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rendered = [
        "| " + " | ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rendered.insert(1, "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|")
    return "\n".join(rendered)


def _text(form: str, value: Any) -> str:
    return value if isinstance(value, str) else form.format(value) if value else ""
