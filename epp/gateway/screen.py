"""What the user sees: lines that stay, and below them, on a terminal, a table drawn again and again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import TextIO

# ECMA-48: cursor to the start of a line so many lines up, then erase from there to the end of the screen.
_UP = "\x1b[{}F"
_ERASE_BELOW = "\x1b[J"


class Screen:
    """Writes to `out`; `live` says whether that is a terminal, where a table can be drawn over."""

    def __init__(self, out: TextIO, *, live: bool) -> None:
        self._out = out
        self._live = live
        self._table: Sequence[str] = ()
        self._drawn = 0  # lines of the table that are on the screen

    @property
    def live(self) -> bool:
        """Whether `show` shows anything."""
        return self._live

    def say(self, line: str) -> None:
        """Writes a line, above the table if there is one."""
        self._write(f"{self._erased()}{line}\n{self._drawing()}")

    def show(self, table: Sequence[str]) -> None:
        """Draws the table in the place of the last one, cut to the size of the terminal."""
        if self._live:
            self._table = table
            self._write(self._erased() + self._drawing())

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:
            # Nobody reads any more, as after `| head`: what is said goes nowhere, and what runs goes on.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())

    def _erased(self) -> str:
        return _UP.format(self._drawn) + _ERASE_BELOW if self._drawn else ""

    def _drawing(self) -> str:
        columns, rows = shutil.get_terminal_size()
        lines = [line[:columns] for line in self._table[: rows - 1]]
        self._drawn = len(lines)
        return "".join(f"{line}\n" for line in lines)
