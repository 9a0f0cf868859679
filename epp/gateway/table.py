"""The live table of the endpoints. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from epp.tables import UNKNOWN, render_table


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
