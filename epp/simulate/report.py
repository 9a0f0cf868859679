"""The numbers of several runs as tables for a terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import isnan
from typing import Any

from epp.config.durations import format_duration
from epp.simulate.columns import Table, tables
from epp.simulate.measures import Measures, Slo

_GAP = "  "


def table(runs: Mapping[str, Measures]) -> str:
    """A line for each policy, in tables that fit a terminal; columns as wide as they need."""
    parts = ["".join(f"{line}\n" for line in _lines(each)) for each in tables(runs)]
    parts += sorted({f"in SLO: {slo_text(measures.slo)}\n" for measures in runs.values()})
    return "\n".join(parts)


def table_text(shown: Table[Any]) -> str:
    """One table under its title."""
    return "".join(f"{line}\n" for line in (shown.title, *_lines(shown)))


def document(
    settings: Mapping[str, Any], runs: Mapping[str, Measures], more: Mapping[str, Any] | None = None
) -> str:
    """JSON with the settings, each policy's numbers and what is in `more`; what is not known is null.

    docs/simulate.md lists the keys.
    """
    results = {name: asdict(measures) for name, measures in runs.items()}
    content = {"settings": settings, "policies": results, **(more or {})}
    return json.dumps(_known(content), indent=2, allow_nan=False) + "\n"


def slo_text(slo: Slo) -> str:
    """What the SLO asks for, for people."""
    return f"TTFT at most {format_duration(slo.ttft)}, TPOT at most {format_duration(slo.tpot)}"


def _lines(shown: Table[Any]) -> list[str]:
    groups = [*("" for _ in shown.keys), *(column.group for column in shown.columns)]
    heads = [*shown.keys, *(column.name for column in shown.columns)]
    rows = [[*key, *shown.cells(key)] for key in shown.rows]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return [_group_line(groups, widths), *(_line(row, widths, len(shown.keys)) for row in (heads, *rows))]


def _line(row: list[str], widths: list[int], keys: int) -> str:
    cells = zip(row, widths, strict=True)
    aligned = [cell.ljust(width) if n < keys else cell.rjust(width) for n, (cell, width) in enumerate(cells)]
    return _GAP.join(aligned).rstrip()


def _group_line(groups: list[str], widths: list[int]) -> str:
    """The headings of groups, each over its columns and to the right, as their numbers are."""
    line = ""
    end = 0
    for number, (group, width) in enumerate(zip(groups, widths, strict=True)):
        end += width + (len(_GAP) if number else 0)
        if group and group not in groups[number + 1 :]:
            line = line + group.rjust(end - len(line))
    return line


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_known(each) for each in value]
    return None if isinstance(value, float) and isnan(value) else value
