"""`epp serve`: puts the parts together, runs them, and takes them down in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from epp.admin import AdminServer
from epp.config.selector import read_selector
from epp.config.settings import ServeSettings, read_settings
from epp.conversation import Conversation
from epp.datastore.store import Datastore
from epp.datastore.view import describe_endpoints, endpoint_queues, pool_means
from epp.director import Director, DirectorSettings, Listeners
from epp.discovery import load_catalogue
from epp.errors import ConfigError, Fault
from epp.kubernetes.access import Access, find_access
from epp.kubernetes.election import Election, lease_name
from epp.kubernetes.lease import LeaderElection
from epp.kubernetes.pools import Pool, pool_name_of
from epp.kubernetes.reviews import Reviews
from epp.live_config import ConfigOrigin, LiveConfig, Version
from epp.logs import configure_logging
from epp.metrics import Metrics
from epp.scheduling.build import build_policy
from epp.scheduling.decision import DecisionLog
from epp.scheduling.watch import watcher
from epp.scrape.engines import ENGINES, EngineSpec, override
from epp.scrape.http_client import connector
from epp.scrape.poller import Poller, ScrapeSettings
from epp.sources.base import Source
from epp.sources.file import FileSource
from epp.sources.kubernetes import KubernetesSource, Target
from epp.transport.certificates import CertificateFiles, KeyPair
from epp.transport.ext_proc import ext_proc_methods
from epp.transport.h2_server import H2Server
from epp.transport.health import Health
from epp.transport.self_signed import own_addresses, own_names, self_signed
from epp.types import LoadSample

if TYPE_CHECKING:
    from epp.transport.grpcio_server import GrpcioServer

_log = logging.getLogger(__name__)

# How long the readiness probes of Kubernetes and gateways get to see that the picker is going, in seconds:
# the chart's readiness period. Until then new streams are still served.
_FAREWELL = 2.0

# Requests leave no rings of objects, so there is hardly anything to collect. But Python looks whenever 700
# objects more are alive than at the last look, which 256 requests under way are at any moment: that took 15
# us of each request, in pauses of 2 ms, and of 6 ms every 5,000 requests. With 5,000 it takes 0.5 us of each
# and 3 ms at a time; with 20,000 pauses of 33 ms were seen.
_GC_THRESHOLDS = (5_000, 10, 10)

# Time between two looks at how late the event loop is, seconds. A look takes 20 us.
_LAG_INTERVAL = 0.02


def main(argv: Sequence[str]) -> int:
    """Runs the picker until SIGTERM or SIGINT; 1 if it cannot start."""
    settings = read_settings(argv, os.environ)
    origin = ConfigOrigin(
        load_catalogue(settings.plugin_path), file=settings.config_file, text=settings.config_text
    )
    config = origin.version(origin.text())
    configure_logging(settings.verbosity)
    failed: BaseExceptionGroup[Exception] | None = None
    try:
        uvloop.run(_serve(settings, origin, config))
    except* (OSError, ConfigError) as group:
        failed = group
    for error in failed.exceptions if failed else ():
        print(f"epp serve: {error}", file=sys.stderr)
    return 1 if failed else 0


async def _serve(settings: ServeSettings, origin: ConfigOrigin, config: Version) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await App(settings, origin, config).run(stop)


class App:
    """One picker: its parts, and the order in which they start and stop."""

    def __init__(self, settings: ServeSettings, origin: ConfigOrigin, config: Version) -> None:
        self._settings = settings
        # The time of the event loop, which the poller goes by, but finer than uvloop's milliseconds.
        self._clock = time.monotonic
        self._store = Datastore()
        self._metrics = Metrics()
        self._decisions = DecisionLog()
        self._poller = Poller(
            ScrapeSettings(
                interval=settings.refresh_metrics_interval,
                path=settings.model_server_metrics_path,
                port=settings.model_server_metrics_port,
            ),
            self,
            connector(
                settings.model_server_metrics_scheme, settings.model_server_metrics_https_insecure_skip_verify
            ),
            engines=_engines(settings),
        )
        watching = watcher(self._metrics, self._clock)
        self._config = LiveConfig(
            origin,
            config,
            lambda config, previous: build_policy(
                config, self._store, settings.metrics_staleness_threshold, watching, previous
            ),
            applied=self._metrics.config_applied,
            reloaded=self._metrics.config_reloaded,
        )
        self._director = Director(
            self._store,
            self._config.policy,
            self._decisions,
            self._metrics,
            Listeners(request_came=self._poller.requested, load_came=self._poller.answered),
            DirectorSettings(
                strict_paths=settings.strict_paths,
                ignore_subset=settings.disable_endpoint_subset_filter,
                emit_endpoint_scores=settings.emit_endpoint_scores,
            ),
            clock=self._clock,
            rng=random.Random(),
        )
        self._source = _source(settings, lambda: self._metrics.pool_reloaded("refused"))
        self._metrics.watch_queues(lambda: endpoint_queues(self._store))
        self._election = _election(settings)
        # A pool file is for places without Kubernetes, where nobody knows tokens.
        needs_token = settings.metrics_endpoint_auth and not settings.pool_file
        self._guard = Reviews(_access(settings), self._clock) if needs_token else None
        self._known = False  # whether the source has spoken
        self._settled = False  # whether the endpoints that it spoke of first were asked for their load
        self._draining = False

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop`, then lets open streams finish. Raises OSError if a port is taken."""
        settings = self._settings
        health = Health(self.ready, elected=self._election is not None)
        methods = ext_proc_methods(self._open_conversation)
        if settings.health_checking:
            methods |= health.methods()
        server = _server(settings.transport, self._metrics.limit_hit)
        grpc_server = server(
            methods,
            _address(settings.bind_address, settings.grpc_port),
            certificate=_certificate(settings) if settings.secure_serving else None,
            max_body_bytes=settings.max_request_bytes,
        )
        health_server = server(
            health.methods(),
            _address(settings.bind_address, settings.grpc_health_port),
            certificate=None,
            max_body_bytes=0,
        )
        admin = AdminServer(
            self,
            self._metrics,
            settings.bind_address or None,
            settings.metrics_port,
            guard=self._guard,
        )
        async with asyncio.TaskGroup() as group:
            await health_server.start()
            await admin.start()
            await grpc_server.start()
            tasks = [
                group.create_task(self._follow_source(), name="source"),
                group.create_task(self._config.follow(self._director.use), name="configuration"),
                group.create_task(self._poller.run(), name="poller"),
                group.create_task(self._refresh_gauges(), name="gauges"),
                group.create_task(self._watch_loop(), name="event loop"),
            ]
            campaign = self._election and group.create_task(self._election.run(), name="leader election")
            _log.info("serving ext_proc on %s", grpc_server.address)
            # What was made until now lives as long as the process: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            await stop.wait()
            _log.info("stopping; open streams have %g s", settings.drain_timeout)
            self._draining = True
            if self._election and campaign:
                campaign.cancel()
                await asyncio.wait([campaign])
                await self._election.resign()
            await asyncio.sleep(min(_FAREWELL, settings.drain_timeout))
            health.stop()
            await grpc_server.drain(settings.drain_timeout)
            await health_server.drain(0)
            await admin.stop()
            for task in tasks:
                task.cancel()

    def _open_conversation(self) -> Conversation:
        return Conversation(self._director, self._settings.max_request_bytes)

    # What exists -----------------------------------------------------------------------------------------

    async def _follow_source(self) -> None:
        async for snapshot in self._source.snapshots():
            changes = self._store.apply(snapshot)
            # One that is not ready is starting or on its way out: it gets no requests, whatever its load.
            self._poller.set_endpoints(e.spec for e in self._store.endpoints if e.spec.ready)
            self._known = True
            self._metrics.pool_reloaded("applied")
            if snapshot.pool is not None:
                self._metrics.pool_known(snapshot.pool.name, snapshot.pool.namespace)
            if not (changes.added or changes.removed):
                continue
            _log.info(
                "pool %s: %d endpoints, %d came, %d went",
                snapshot.pool.name if snapshot.pool else "",
                len(self._store.endpoints),
                len(changes.added),
                len(changes.removed),
            )

    async def _refresh_gauges(self) -> None:
        while True:
            means = pool_means(self._store, self._clock(), self._settings.metrics_staleness_threshold)
            self._metrics.pool_measured(
                ready=means.fresh, waiting=means.waiting, running=means.running, kv_usage=means.kv_usage
            )
            self._metrics.prefix_index_measured(self._config.policy.prefix_blocks)
            await asyncio.sleep(self._settings.refresh_prometheus_metrics_interval)

    async def _watch_loop(self) -> None:
        """Measures how late the event loop is: so late may any request be noticed, too."""
        while True:
            due = self._clock() + _LAG_INTERVAL
            await asyncio.sleep(_LAG_INTERVAL)
            self._metrics.loop_lagged(max(0.0, self._clock() - due))

    # The poller's observer -------------------------------------------------------------------------------

    def scraped(self, name: str, sample: LoadSample, expected_interval: float, now: float) -> None:
        """A page told the load."""
        self._store.scraped(name, sample, expected_interval, now)

    def scrape_failed(self, name: str, kind: str, now: float) -> None:
        """A page did not come: the endpoint's load gets old by itself."""
        self._metrics.scrape_failed(kind)

    def scrape_took(self, name: str, seconds: float) -> None:
        """How long a page took."""
        self._metrics.scrape_took(seconds)

    def models_listed(self, name: str, base: frozenset[str], adapters: frozenset[str], now: float) -> None:
        """The endpoint listed its models."""
        self._store.models_listed(name, base, adapters)

    # What the admin pages show ---------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether the pool is known, its first endpoints were asked once, and the picker is not about to go.

        With leader election only the leader is.
        """
        if self._draining or (self._election and not self._election.leading):
            return False
        # Endpoints that come later are no reason to turn requests away from all others until they are asked.
        self._settled = self._settled or (self._known and self._poller.settled())
        return self._settled and self._store.pool is not None

    def endpoints(self) -> list[dict[str, Any]]:
        """For /debug/endpoints."""
        return describe_endpoints(self._store, self._clock(), self._settings.metrics_staleness_threshold)

    def config(self) -> dict[str, Any]:
        """For /debug/config."""
        return self._config.describe()

    def decisions(self, limit: int, request_id: str) -> list[dict[str, Any]]:
        """For /debug/decisions."""
        return self._decisions.latest(limit, request_id)


def _source(settings: ServeSettings, refused: Callable[[], object]) -> Source:
    """Where the pool comes from. Raises ConfigError."""
    if settings.pool_file:
        path = Path(settings.pool_file)
        return FileSource(path, namespace=settings.pool_namespace, on_refused=refused)
    selection = None
    if settings.endpoint_selector:
        ports = tuple(dict.fromkeys(settings.endpoint_target_ports))
        selection = Pool(read_selector(settings.endpoint_selector), ports)
    target = Target(_pool_name(settings), settings.pool_namespace, settings.pool_group, selection)
    return KubernetesSource(_access(settings), target)


def _election(settings: ServeSettings) -> LeaderElection | None:
    """This picker's part in the election of a leader, if there is one. Raises ConfigError."""
    if not settings.ha_enable_leader_election:
        return None
    namespace = settings.pool_namespace
    identity = f"{socket.gethostname()}_{uuid.uuid4()}"
    return LeaderElection(
        _access(settings), namespace, Election(lease_name(_pool_name(settings), namespace), identity)
    )


def _pool_name(settings: ServeSettings) -> str:
    return settings.pool_name or pool_name_of(os.environ.get("POD_NAME", ""))


def _access(settings: ServeSettings) -> Access:
    return find_access(settings.kubeconfig, os.environ, time.monotonic)


def _server(transport: str, limit_hit: Callable[[str], None]) -> Callable[..., H2Server | GrpcioServer]:
    if transport == "h2":
        return partial(H2Server, limit_hit=limit_hit)
    # Imported when it is used: gRPC's library takes 17 MB.
    from epp.transport.grpcio_server import GrpcioServer

    return GrpcioServer


def _address(host: str, port: int) -> str:
    # [::] takes IPv4 as well.
    return f"[{host or '::'}]:{port}" if ":" in (host or "::") else f"{host}:{port}"


def _certificate(settings: ServeSettings) -> Callable[[], KeyPair]:
    if not settings.cert_path:
        pair = self_signed(own_names(), own_addresses(), datetime.now(UTC))
        return lambda: pair
    return CertificateFiles(Path(settings.cert_path)).current


def _engines(settings: ServeSettings) -> dict[str, EngineSpec]:
    """Every engine's metric names, as the v1.0.1 flags override them. Raises ConfigError."""
    try:
        return {
            name: override(
                engine,
                queue=settings.total_queued_requests_metric,
                running=settings.total_running_requests_metric,
                kv=settings.kv_cache_usage_percentage_metric,
                lora=settings.lora_info_metric,
                cache_info=settings.cache_info_metric,
            )
            for name, engine in ENGINES.items()
        }
    except ValueError as error:
        raise ConfigError([Fault("command line", 0, "", str(error))]) from None
