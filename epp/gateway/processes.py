"""The processes of `epp up`: started, waited for, started again when they die, and ended together.

A part that never gets ready is a StartError, and the caller gives up. One that dies later is started again,
after a pause that doubles while it keeps dying. Whatever ends this process ends them too: leaving the `async
with` stops them, and the tether does where this process is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

from epp.gateway import tether

# Seconds that a part has to get ready: a Python process on a busy machine needs up to ten.
START_TIMEOUT = 30.0

# Seconds between two looks at whether a part is ready.
POLL_INTERVAL = 0.05

# Seconds between SIGTERM and SIGKILL. `epp up` promises to be gone five seconds after Ctrl-C.
STOP_GRACE = 3.0

# Seconds before a part that died is started again: at first, at most, and the life after which it counts as
# healthy and the pause begins anew.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
STEADY_AFTER = 30.0

# Seconds that the output of a process that ended may take to arrive; a grandchild can hold the pipe open.
OUTPUT_GRACE = 1.0

# Bytes of a line of output before it is broken.
LONGEST_LINE = 65_536

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """One process: its name in messages, its argument vector, and the question whether it is ready."""

    name: str
    argv: Sequence[str]
    ready: Callable[[], Awaitable[bool]]


class StartError(Exception):
    """Something did not get ready; the message says what and why."""


class Supervisor:
    """Owns the processes of its parts.

    `say` gets each line for the user, theirs behind their name. What they say while they are being ended is
    not passed on: they end side by side, and each complains of the others' absence.
    """

    def __init__(self, say: Say) -> None:
        self._listener: Say | None = say
        self._tasks = asyncio.TaskGroup()
        self._lives: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener = None
        for life in self._lives:
            life.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def start(self, part: Part) -> None:
        """Starts a part and returns once it is ready, to be kept running from then on; StartError if not."""
        ready = asyncio.get_running_loop().create_future()
        self._lives.append(self._tasks.create_task(self._live(part, ready), name=f"keep {part.name}"))
        await ready

    def _say(self, line: str) -> None:
        if self._listener is not None:
            self._listener(line)

    async def _live(self, part: Part, ready: asyncio.Future[None]) -> None:
        """Runs the part again and again; `ready` gets the outcome of its first start."""
        clock = asyncio.get_running_loop().time
        pause = 0.0
        while True:
            since = clock()
            try:
                async with _running(part, self._say) as child:
                    await _until_ready(part, child)
                    if ready.done():
                        self._say(f"{part.name} is ready again")
                    else:
                        ready.set_result(None)
                    end = f"{part.name} ended: {await child.ended()}"
            except StartError as error:
                if not ready.done():
                    ready.set_exception(error)
                    return
                end = str(error)
            pause = next_pause(pause, lived=clock() - since)
            self._say(f"{end}; starts again in {pause:g} s")
            await asyncio.sleep(pause)


async def _until_ready(part: Part, child: _Child) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while not await part.ready():
                if await child.exits_within(POLL_INTERVAL):
                    raise StartError(f"{part.name} did not start: {await child.ended()}")
    except TimeoutError:
        raise StartError(f"{part.name} was not ready after {START_TIMEOUT:g} s") from None


def next_pause(pause: float, *, lived: float) -> float:
    """Seconds to wait before the next start, after one that came `pause` late and lived `lived` seconds."""
    if pause == 0.0 or lived >= STEADY_AFTER:
        return FIRST_PAUSE
    return min(2 * pause, LONGEST_PAUSE)


@asynccontextmanager
async def _running(part: Part, say: Say) -> AsyncIterator[_Child]:
    """One process of the part, tethered to this one, in a session of its own so that Ctrl-C is ours alone."""
    _, child = await asyncio.get_running_loop().subprocess_exec(
        lambda: _Child(part.name, say),
        *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *part.argv),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        await child.stop()


class _Child(asyncio.SubprocessProtocol):
    """One running process."""

    def __init__(self, name: str, say: Say) -> None:
        loop = asyncio.get_running_loop()
        self._name = name
        self._say = say
        self._transport: asyncio.SubprocessTransport  # from connection_made on
        self._rest = b""  # of the output, the line that has no end yet
        self._exited: asyncio.Future[int] = loop.create_future()
        self._silent: asyncio.Future[None] = loop.create_future()  # all its output has arrived

    async def exits_within(self, seconds: float) -> bool:
        """Whether it has ended, or does so in this time."""
        await asyncio.wait({self._exited}, timeout=seconds)
        return self._exited.done()

    async def ended(self) -> str:
        """Waits for its end and for what it still had to say; how it ended, in words."""
        code = await asyncio.shield(self._exited)
        await asyncio.wait({self._silent}, timeout=OUTPUT_GRACE)
        self._transport.close()
        return f"exit code {code}" if code >= 0 else f"killed by signal {-code} ({signal.strsignal(-code)})"

    async def stop(self) -> None:
        """Ends it, kindly at first."""
        if not self._exited.done():
            self._transport.terminate()
            if not await self.exits_within(STOP_GRACE):
                self._transport.kill()
        await self.ended()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process runs."""
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It said something."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._say(f"{self._name} | {line.decode(errors='replace')}")

    def process_exited(self) -> None:
        """It ended; output may still be on its way."""
        code = self._transport.get_returncode()
        assert code is not None
        self._exited.set_result(code)

    def connection_lost(self, error: Exception | None) -> None:
        """It ended, and its output is complete."""
        if self._rest:
            self.pipe_data_received(1, b"\n")
        self._silent.set_result(None)
