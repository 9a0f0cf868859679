"""How far the runs are: each tells a gauge, and a bar on the terminal shows them all.

Gauges lie in numbers that processes may share, so that a run in another process is seen without messages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableSequence
from typing import TextIO

# Of each gauge: requests over, requests in all (0: not known), virtual seconds, 1 when it has ended.
_OVER, _ALL, _SIMULATED, _ENDED = range(CELLS := 4)


class Gauge:
    """How far one task is. `changed` is called whenever that is told."""

    def __init__(
        self, cells: MutableSequence[float], number: int, changed: Callable[[], object] = lambda: None
    ) -> None:
        self._cells = cells
        self._first = number * CELLS
        self._changed = changed

    def expect(self, requests: int) -> None:
        """There are so many requests in all, as far as one can tell."""
        self._cells[self._first + _ALL] = requests

    def __call__(self, simulated: float, over: int) -> None:
        """So many requests are over at this virtual time."""
        self._cells[self._first + _SIMULATED] = simulated
        self._cells[self._first + _OVER] = over
        self._changed()

    def end(self) -> None:
        """The task is done."""
        first = self._first
        self._cells[first + _OVER] = max(self._cells[first + _OVER], self._cells[first + _ALL])
        self._cells[first + _ENDED] = 1
        self._changed()


class Bar:
    """One bar over `tasks` gauges: requests over, virtual time, speed, and when it will be done.

    Only on a terminal, and only where tqdm is installed (the extra `simulate`). A context manager: the bar is
    gone at the end.
    """

    def __init__(self, tasks: int, cells: MutableSequence[float], file: TextIO | None = None) -> None:
        self._tasks = tasks
        self._cells = cells
        file = file or sys.stderr
        try:
            from tqdm import tqdm
        except ModuleNotFoundError:
            self._bar = None
        else:
            # disable=None: where the file is no terminal
            self._bar = tqdm(unit=" requests", file=file, disable=None, leave=False, dynamic_ncols=True)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def draw(self) -> None:
        """Shows what the gauges say now."""
        if self._bar is None or self._bar.disable:
            return
        over, simulated, ended = (sum(self._cells[which::CELLS]) for which in (_OVER, _SIMULATED, _ENDED))
        self._bar.n = int(over)
        self._bar.total = self._total()
        self._bar.set_description_str(f"{ended:.0f} of {self._tasks} runs", refresh=False)
        self._bar.set_postfix_str(f"{simulated:.0f} s simulated", refresh=False)
        self._bar.refresh()

    def _total(self) -> float | None:
        """Requests in all: tasks that have not begun will have as many as the others."""
        known = [each for each in self._cells[_ALL::CELLS] if each]
        return round(self._tasks * sum(known) / len(known)) if known else None
