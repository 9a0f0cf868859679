"""One endpoint while it is polled: how to ask it, how it went, and the alarm clock of its task."""

from __future__ import annotations

import asyncio
import logging

from epp.scrape.engines import EngineSpec
from epp.scrape.exposition import Memory
from epp.scrape.http_client import ScrapeError, ScrapeFailure
from epp.types import EndpointSpec

log = logging.getLogger(__name__)


class Moments:
    """Timers of the event loop, one for all sleepers that want to be woken at the same time.

    Endpoints are polled together at a few moments of the interval, and a timer for each costs as much as to
    read its page.
    """

    def __init__(self) -> None:
        self._sleepers: dict[float, list[asyncio.Future[None]]] = {}

    def sleeper(self, when: float) -> asyncio.Future[None]:
        """A future that is done at `when`, by the loop's clock."""
        loop = asyncio.get_running_loop()
        sleeper = loop.create_future()
        sleepers = self._sleepers.get(when)
        if sleepers is None:
            self._sleepers[when] = [sleeper]
            loop.call_at(when, self._wake, when)
        else:
            sleepers.append(sleeper)
        return sleeper

    def _wake(self, when: float) -> None:
        for sleeper in self._sleepers.pop(when):
            if not sleeper.done():
                sleeper.set_result(None)


class Alarm:
    """A sleep that can be cut short, for one sleeper."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self._sleeper: asyncio.Future[None] | None = None

    async def sleep_until(self, when: float) -> None:
        """Returns at `when`, by the loop's clock, or when `ring` is called."""
        self._sleeper = self._moments.sleeper(when)
        await self._sleeper

    def ring(self) -> None:
        """Ends the sleep, if there is one."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)


class Target:
    """One endpoint while it is polled."""

    def __init__(self, spec: EndpointSpec, engine: EngineSpec, moments: Moments) -> None:
        self.spec = spec
        self.engine = engine
        self.memory: Memory = {}  # of its page
        self.alarm = Alarm(moments)
        self.paged = asyncio.Event()  # its page came once
        self.models_wanted = asyncio.Event()
        self.settled = False
        self.failing: ScrapeFailure | None = None
        self.tasks: tuple[asyncio.Task[None], ...] = ()

    def moved(self, spec: EndpointSpec) -> bool:
        """Whether `spec` is to be asked elsewhere or otherwise than this one."""
        old = self.spec
        return (old.host, old.port, old.engine) != (spec.host, spec.port, spec.engine)

    def stop(self) -> None:
        """Ends its tasks, which close their connections."""
        for task in self.tasks:
            task.cancel()

    def report(self, failure: ScrapeError | None) -> None:
        """Logs how scraping goes when that changed."""
        kind = None if failure is None else failure.kind
        if kind == self.failing:
            return
        self.failing = kind
        if failure is None:
            log.info("endpoint %s is scraped again", self.spec.name)
        else:
            cause = failure if kind is ScrapeFailure.INTERNAL else None
            log.warning("endpoint %s cannot be scraped: %s", self.spec.name, failure, exc_info=cause)
