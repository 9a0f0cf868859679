"""Metrics pages in virtual time: asked for when the picker's cadence says, and there `lag` later.

A page is a picture of its engine when it was asked for. Most are never seen, because the next one comes
before the picker looks again. So what is due is worked off only when somebody looks, or an engine is about to
change, and of several pages the last is made. The picker cannot tell the difference.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from epp.scrape.cadence import Cadence
from epp.types import LoadSample

# Makes the page of an endpoint as of a time, which is not before that of the call before.
Picture = Callable[[str, float], LoadSample]

# Takes a page: the endpoint, what it says, seconds until more can be expected, and when it came.
Tell = Callable[[str, LoadSample, float, float], None]


@dataclass(slots=True)
class _Page:
    """Of one endpoint: the page on its way, if there is one."""

    asked_at: float | None = None
    load: LoadSample | None = None  # None: the engine is still as it was then


class Scraping:
    """The pages of all endpoints `names`. Times are virtual seconds, and never go back for one endpoint."""

    def __init__(
        self, names: Iterable[str], cadence: Cadence, lag: float, picture: Picture, tell: Tell
    ) -> None:
        self.asked = 0  # pages so far
        self._cadence = cadence
        self._lag = lag
        self._picture = picture
        self._tell = tell
        self._pages = {name: _Page() for name in names}
        self._upcoming: list[tuple[float, str]] = []  # when each next page comes at the earliest; a heap
        self.woken()

    def woken(self) -> None:
        """Pages may be due sooner than they were."""
        self._upcoming = [(self._comes_at(name), name) for name in self._pages]
        heapq.heapify(self._upcoming)

    def look(self, now: float) -> None:
        """Tells of the pages of all endpoints that have come before `now`."""
        upcoming = self._upcoming
        while upcoming[0][0] < now:
            name = upcoming[0][1]
            self.bring(name, now)
            heapq.heapreplace(upcoming, (self._comes_at(name), name))

    def bring(self, name: str, now: float) -> None:
        """Tells of the pages of one endpoint that have come before `now`; only the last counts."""
        cadence, page = self._cadence, self._pages[name]
        news: tuple[float, LoadSample | None, float, float] | None = None
        while True:
            if page.asked_at is None:
                due = cadence.due(name)
                if due >= now:
                    break
                cadence.started(name, due)
                page.asked_at = due
                self.asked += 1
            came_at = page.asked_at + self._lag
            if came_at >= now:
                break
            news = page.asked_at, page.load, cadence.succeeded(name, came_at), came_at
            page.asked_at = page.load = None
        if news:
            asked_at, load, interval, came_at = news
            self._tell(name, load or self._picture(name, asked_at), interval, came_at)

    def keep(self, name: str, now: float) -> None:
        """The engine is about to change: the page on its way shows what it was."""
        self.bring(name, now)
        page = self._pages[name]
        if page.asked_at is not None and page.load is None:
            page.load = self._picture(name, page.asked_at)

    def _comes_at(self, name: str) -> float:
        asked_at = self._pages[name].asked_at
        return (self._cadence.due(name) if asked_at is None else asked_at) + self._lag
