"""Tables of text: the live one of the endpoints, and what it is made with. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNKNOWN = "?"


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """One line for the head and one for each row; columns as wide as they need, numbers to the right."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    aligned = [str.rjust if _is_numeric(column[1:]) else str.ljust for column in columns]
    return [
        "  ".join(
            align(cell, width) for cell, width, align in zip(line, widths, aligned, strict=True)
        ).rstrip()
        for line in lines
    ]


def render_endpoints(endpoints: Sequence[Mapping[str, Any]]) -> list[str]:
    """The endpoints as /debug/endpoints describes them; what is not known or no longer believed is a `?`."""
    head = ("endpoint", "queue", "running", "KV use", "requests", "adapters")
    return render_table(head, map(_endpoint_row, endpoints))


def _endpoint_row(endpoint: Mapping[str, Any]) -> tuple[str, ...]:
    load = endpoint if endpoint["fresh"] else {}
    return (
        endpoint["address"],
        _number(load.get("waiting")),
        _number(load.get("running")),
        _percent(load.get("kv_usage")),
        _number(endpoint["picks"]),
        ", ".join(endpoint["adapters"]["at_hand"]) or "-",
    )


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:g}"


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1%}"


def _is_numeric(cells: Iterable[str]) -> bool:
    return all(cell == UNKNOWN or cell.rstrip("%").replace(".", "", 1).isdecimal() for cell in cells)
