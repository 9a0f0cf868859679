"""Tables of text, for people at a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def _is_numeric(cells: Iterable[str]) -> bool:
    return all(
        cell == UNKNOWN or cell.removeprefix("-").rstrip("%").replace(".", "", 1).isdecimal()
        for cell in cells
    )
