"""Child processes and conditions: what every part of the stack is made of."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Self

from epp.gateway import tether

# Seconds. Far more than anything here takes on a busy machine: a test that waits so long has failed.
PATIENCE = 60.0

# Seconds between two looks at a condition.
_LOOK_EVERY = 0.01

# Ports that Linux does not hand out to clients (net.ipv4.ip_local_port_range begins at 32768), so that no
# connection of a test takes the port of a server that is being restarted.
_PORTS = range(20_000, 32_000)

_random = Random(os.getpid())

Condition = Callable[[], object | Awaitable[object]]


async def eventually(
    condition: Condition, what: str | Callable[[], str] = "it", patience: float = PATIENCE
) -> None:
    """Waits until `condition` holds; an assertion that names `what` if it does not within `patience`."""
    try:
        async with asyncio.timeout(patience):
            while not await _holds(condition):
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        raise AssertionError(f"{what if isinstance(what, str) else what()} never came true") from None


async def _holds(condition: Condition) -> object:
    result = condition()
    return await result if inspect.isawaitable(result) else result


def free_ports(count: int = 1) -> int:
    """The first of `count` ports in a row on 127.0.0.1 that nothing listens on."""
    while True:
        first = _random.choice(_PORTS)
        if all(_is_free(port) for port in range(first, first + count)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Process:
    """A program that can be started, killed and started again; it cannot outlive the tests.

    What it prints is appended to the file `log`. Leaving `async with` kills it.
    """

    def __init__(self, argv: Sequence[str], log: Path, patience: float = PATIENCE) -> None:
        self.argv = argv
        self.log = log
        self.patience = patience  # seconds to readiness
        self._child: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def ready(self) -> bool:
        """Whether it does what it is for; parts say what that means."""
        return True

    async def start(self) -> None:
        """Starts it and returns once it is ready."""
        with self.log.open("ab") as output:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *self.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        await eventually(
            self._ready_or_dead, lambda: f"readiness of {self.log.stem}: {self.output()}", self.patience
        )
        assert self.alive, f"{self.log.stem} did not start: {self.output()}"

    async def kill(self) -> None:
        """Ends it at once, as an out-of-memory killer does."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """Asks it to end, and waits until it has; its exit code."""
        return await self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self._child is not None
        self._child.send_signal(number)

    async def ended(self) -> int:
        """Waits for its end; the exit code, negative for a signal."""
        assert self._child is not None
        return await asyncio.wait_for(self._child.wait(), PATIENCE)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._child is not None and self._child.returncode is None

    @property
    def pid(self) -> int:
        """Of the running or last process."""
        assert self._child is not None
        return self._child.pid

    @property
    def resident_bytes(self) -> int:
        """Memory that it holds, from /proc."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def output(self) -> str:
        """Everything that it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def _ready_or_dead(self) -> bool:
        return not self.alive or await self.ready()

    async def _end(self, number: signal.Signals) -> int:
        if self.alive:
            self.send(number)
        return await self.ended()
