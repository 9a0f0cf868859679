"""The pool file as a source: read again when it changes, hosts resolved, a broken version refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from epp.config.document import read_text
from epp.config.hosts import is_ip
from epp.config.pool_file import load_pool_file
from epp.config.stamp import Stamp, stamp_of
from epp.errors import ConfigError
from epp.sources.resolve import Addresses, Resolve, resolve_host
from epp.types import EndpointSpec, Snapshot

logger = logging.getLogger(__name__)

# Seconds between two looks at the file. A look is one stat; the kubelet takes a minute to update a ConfigMap.
POLL_INTERVAL = 1.0

# Seconds between two look-ups of the host names: the lifetime that cluster DNS gives its records.
RESOLVE_INTERVAL = 30.0


class FileSource:
    """What the pool file at `path` says; see epp.config.pool_file for its format.

    `namespace` is the pool's where the file gives none. The file may be replaced by rename, by turning a
    symbolic link on the way to it (as ConfigMaps do), or written in place. A version with faults is refused,
    each fault is logged once, `on_refused` is called, and the version before stays; so it does when the file
    is gone.
    """

    def __init__(
        self,
        path: Path,
        *,
        namespace: str = "default",
        poll_interval: float = POLL_INTERVAL,
        resolve_interval: float = RESOLVE_INTERVAL,
        resolve: Resolve = resolve_host,
        on_refused: Callable[[], object] = lambda: None,
    ) -> None:
        self._path = path
        self._namespace = namespace
        self._poll_interval = poll_interval
        self._resolve_interval = resolve_interval
        self._addresses = Addresses(resolve)
        self._on_refused = on_refused
        self._stamp: Stamp | None = None

    def __repr__(self) -> str:
        return f"<FileSource {self._path}>"

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """See Source. ConfigError if the first version cannot be read."""
        clock = asyncio.get_running_loop().time
        self._stamp = stamp_of(self._path)
        written = await asyncio.to_thread(self._load)
        last: Snapshot | None = None
        changed, resolved_at = True, clock()
        while True:
            if changed or clock() - resolved_at >= self._resolve_interval:
                resolved_at = clock()
                await self._addresses.update(
                    {spec.host for spec in written.endpoints if not is_ip(spec.host)}
                )
                current = replace(written, endpoints=_with_addresses(written.endpoints, self._addresses))
                if current != last:
                    _log_missing(written, current)
                    yield current
                    last = current
            await asyncio.sleep(self._poll_interval)
            newer = await self._newer()
            changed, written = newer is not None, newer or written

    def _load(self) -> Snapshot:
        name = str(self._path)
        return load_pool_file(read_text(self._path, name), name, namespace=self._namespace)

    async def _newer(self) -> Snapshot | None:
        """The file's new version; None if it has none, or none that can be used."""
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return None
        # Taken before the file is read: what is written meanwhile has another stamp, and is read next time.
        self._stamp = stamp
        if stamp is None:
            logger.warning("pool file %s is gone; what it said last stays", self._path)
            return None
        try:
            return await asyncio.to_thread(self._load)
        except ConfigError as error:
            for fault in error.faults:
                logger.error("pool file refused, the version before stays: %s", fault)
            self._on_refused()
            return None


def _with_addresses(specs: tuple[EndpointSpec, ...], addresses: Addresses) -> tuple[EndpointSpec, ...]:
    """Each endpoint at its address; those without one, or with another's, are left out."""
    found: dict[str, EndpointSpec] = {}
    for spec in specs:
        host = spec.host if is_ip(spec.host) else addresses.get(spec.host)
        if host:
            placed = replace(spec, host=host)
            found.setdefault(placed.address, placed)
    return tuple(found.values())


def _log_missing(written: Snapshot, current: Snapshot) -> None:
    present = {spec.name for spec in current.endpoints}
    for spec in written.endpoints:
        if spec.name not in present:
            logger.warning("endpoint %s is left out: host %s has no address of its own", spec.name, spec.host)
