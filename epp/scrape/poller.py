"""Polls the endpoints' metrics pages, each when `cadence` says, and tells an observer what they say.

Two tasks for each endpoint, all in one TaskGroup that `run` owns: one polls the metrics page, one asks for
the model list, on a connection of its own so that a server which is slow to list its models is not late with
its load. What fails is told, logged when it changes, and tried again; nothing that a server answers ends a
task.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from epp.scrape.cadence import Cadence
from epp.scrape.engines import DEFAULT_ENGINE, ENGINES, EngineSpec, read_load
from epp.scrape.http_client import TIMER_RESOLUTION, ScrapeError, ScrapeFailure
from epp.scrape.models import PATH as MODELS_PATH
from epp.scrape.models import read_models
from epp.scrape.target import Moments, Target
from epp.types import EndpointSpec, LoadSample

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScrapeSettings:
    """How endpoints are asked. Defaults are the reference's flags, times in seconds."""

    interval: float = 0.05  # --refresh-metrics-interval: the base interval of `cadence`
    timeout: float = 1.0  # for one GET, connecting included (reference v1.5)
    path: str = "/metrics"  # --model-server-metrics-path
    port: int = 0  # --model-server-metrics-port; 0: the endpoint's own
    models_interval: float = 30.0  # adapters that are loaded at run time are seen this soon unasked
    models_pause: float = 1.0  # between two model lists however often they are asked for: a list is not load


class Observer(Protocol):
    """Who is told, at once. `now` is the event loop's clock; no method may change the set of endpoints."""

    def scraped(self, name: str, sample: LoadSample, expected_interval: float, now: float) -> None:
        """A page told the load; more is due within `expected_interval` seconds."""

    def scrape_failed(self, name: str, kind: str, now: float) -> None:
        """A page did not come or told no load; `kind` is a `ScrapeFailure`."""

    def scrape_took(self, name: str, seconds: float) -> None:
        """How long a page took from the request to the last byte."""

    def models_listed(self, name: str, base: frozenset[str], adapters: frozenset[str], now: float) -> None:
        """The endpoint listed its models."""


class Connection(Protocol):
    """A connection to one server: `epp.scrape.http_client.HttpConnection`, or a test's own."""

    async def get(self, path: str, timeout: float) -> bytes:
        """The body of the answer to GET `path`. Raises ScrapeError."""

    def close(self) -> None:
        """Closes what is open; `get` may open it again."""


Connect = Callable[[str, int], Connection]


class Poller:
    """Polls every endpoint it was given, for as long as `run` runs.

    `connect` makes the connection to a host and port. `engines` are the metric names, by the endpoints'
    `engine`; one that is not there counts as vLLM.
    """

    def __init__(
        self,
        settings: ScrapeSettings,
        observer: Observer,
        connect: Connect,
        *,
        engines: Mapping[str, EngineSpec] = ENGINES,
        rng: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._connect = connect
        self._engines = engines
        self._cadence = Cadence(settings.interval, rng or random.Random())
        self._moments = Moments()
        self._targets: dict[str, Target] = {}
        self._group: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        targets = self._targets.values()
        settled = sum(1 for target in targets if target.settled)
        failing = sum(1 for target in targets if target.failing)
        return f"<Poller endpoints={len(targets)} settled={settled} failing={failing}>"

    def set_endpoints(self, specs: Iterable[EndpointSpec]) -> None:
        """From now on polls these endpoints and no others.

        One that is new, or whose address or engine changed, is polled within one base interval; the
        connections of one that is gone are closed.
        """
        wanted = {spec.name: spec for spec in specs}
        for name, target in list(self._targets.items()):
            if name not in wanted or target.moved(wanted[name]):
                target.stop()
                del self._targets[name]
                if name in self._cadence:
                    self._cadence.remove(name)
        for name, spec in wanted.items():
            if name not in self._targets:
                self._targets[name] = target = Target(spec, self._engine(spec), self._moments)
                if self._group is not None:
                    self._start(target, self._group)

    def settled(self) -> bool:
        """Whether each endpoint was scraped, or failed to be, at least once. True if there is none."""
        return all(target.settled for target in self._targets.values())

    def answered(self, name: str, now: float) -> float:
        """An answer of the endpoint carried its load: its page can wait.

        Returns the expected interval of what the answer told, in seconds; 0 for an endpoint that is gone.
        """
        return self._cadence.answered(name, now) if name in self._cadence else 0.0

    def requested(self, now: float) -> None:
        """A request came to the pool: wakes it if it was idle."""
        if self._cadence.requested(now):
            for target in self._targets.values():
                target.alarm.ring()

    def refresh_models(self, name: str) -> None:
        """Asks the endpoint for its model list soon."""
        if name in self._targets:
            self._targets[name].models_wanted.set()

    async def run(self) -> None:
        """Polls until it is cancelled; all connections are closed then."""
        async with asyncio.TaskGroup() as self._group:
            try:
                for target in self._targets.values():
                    self._start(target, self._group)
                await asyncio.get_running_loop().create_future()  # until cancelled, also with no endpoint
            finally:
                self._group = None

    # ------------------------------------------------------------------------------------------------------

    def _engine(self, spec: EndpointSpec) -> EngineSpec:
        return self._engines.get(spec.engine) or self._engines[DEFAULT_ENGINE]

    def _start(self, target: Target, group: asyncio.TaskGroup) -> None:
        name = target.spec.name
        self._cadence.add(name, asyncio.get_running_loop().time())
        target.tasks = (
            group.create_task(self._poll(target), name=f"scrape {name}"),
            group.create_task(self._poll_models(target), name=f"models {name}"),
        )

    async def _poll(self, target: Target) -> None:
        """The task that polls one endpoint's metrics page."""
        loop = asyncio.get_running_loop()
        name = target.spec.name
        connection = self._connect(target.spec.host, self._settings.port or target.spec.port)
        try:
            while True:
                while (due := self._cadence.due(name)) - loop.time() > TIMER_RESOLUTION:
                    await target.alarm.sleep_until(due)
                self._cadence.started(name, loop.time())
                failure = await self._scrape(target, connection)
                target.settled = True
                if failure is None:
                    target.paged.set()
                else:
                    self._cadence.failed(name, loop.time())
                    with suppress(Exception):
                        self._observer.scrape_failed(name, failure.kind, loop.time())
                target.report(failure)
        finally:
            connection.close()

    async def _scrape(self, target: Target, connection: Connection) -> ScrapeError | None:
        """Gets one page and tells what it says; returns what went wrong."""
        name = target.spec.name
        began = time.perf_counter()  # uvloop's own clock counts milliseconds, and a page may take less
        try:
            page = await connection.get(self._settings.path, self._settings.timeout)
            self._observer.scrape_took(name, time.perf_counter() - began)
            sample = read_load(page, target.engine, target.memory)
            if sample.waiting is None and sample.running is None and sample.kv_usage is None:
                return ScrapeError(ScrapeFailure.NO_METRICS, f"no metric of {target.engine.name} on the page")
            now = asyncio.get_running_loop().time()
            self._observer.scraped(name, sample, self._cadence.succeeded(name, now), now)
        except ScrapeError as error:
            return error
        except Exception as error:  # a fault of ours must not end the polling of this endpoint
            failure = ScrapeError(ScrapeFailure.INTERNAL, repr(error))
            failure.__cause__ = error
            return failure
        return None

    async def _poll_models(self, target: Target) -> None:
        """The task that asks for one endpoint's model list, now and then, once its metrics page came."""
        settings = self._settings
        await target.paged.wait()
        connection = self._connect(target.spec.host, target.spec.port)  # never the metrics port
        while True:
            target.models_wanted.clear()
            await self._list_models(target, connection)
            await asyncio.sleep(settings.models_pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.models_interval - settings.models_pause):
                    await target.models_wanted.wait()

    async def _list_models(self, target: Target, connection: Connection) -> None:
        """Tells the endpoint's models; without an answer, what was told before holds on."""
        name = target.spec.name
        try:
            models = read_models(await connection.get(MODELS_PATH, self._settings.timeout))
            if models is not None:
                now = asyncio.get_running_loop().time()
                self._observer.models_listed(name, models.base, models.adapters, now)
        except ScrapeError as error:
            log.debug("endpoint %s lists no models: %s", name, error)
        except Exception:
            log.exception("endpoint %s: its model list could not be taken over", name)
        finally:
            connection.close()  # servers close an idle connection long before the next list (vLLM: 5 s)
