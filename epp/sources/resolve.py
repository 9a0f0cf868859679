"""Host names to IP addresses, for sources whose endpoints are not all addresses."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Set

logger = logging.getLogger(__name__)

# The IP addresses of a host name, best first; OSError if there are none.
Resolve = Callable[[str], Awaitable[list[str]]]

# Seconds for one look-up. A resolver gives up on a dead server only after 5 to 30, and a change of the file
# should not wait for that.
LOOKUP_TIMEOUT = 5.0


async def resolve_host(host: str) -> list[str]:
    """What the system's resolver says, IPv4 first: model servers listen on 0.0.0.0 unless told otherwise."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    ordered = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return [str(entry[4][0]) for entry in ordered]


class Addresses:
    """The last known address of each host name.

    A host keeps its address for as long as a look-up still names it, and also while look-ups fail.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, str] = {}
        self._failing: set[str] = set()

    def __repr__(self) -> str:
        return f"<Addresses known={self._known} failing={sorted(self._failing)}>"

    def get(self, host: str) -> str | None:
        """The address of `host`; None if it never had one."""
        return self._known.get(host)

    async def update(self, hosts: Set[str]) -> None:
        """Looks all of `hosts` up, at the same time, and forgets the others."""
        self._known = {host: address for host, address in self._known.items() if host in hosts}
        self._failing &= hosts
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                group.create_task(self._look_up(host), name=f"resolve {host}")

    async def _look_up(self, host: str) -> None:
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                found = await self._resolve(host)
        except (OSError, UnicodeError) as error:  # a name may be unfit for DNS; TimeoutError is an OSError
            if host not in self._failing:
                logger.warning("host %s has no address: %s", host, str(error) or "no answer in time")
            self._failing.add(host)
            return
        if host in self._failing:
            logger.info("host %s has an address again", host)
        self._failing.discard(host)
        if self._known.get(host) not in found:
            self._known[host] = found[0]
