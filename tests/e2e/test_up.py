"""`epp up` as a person uses it: on a terminal, with work under way, in front of other servers, harmed."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.asks import CHAT, COMPLETIONS, ask, chat, completion
from tests.e2e.process import Process, eventually, free_ports
from tests.e2e.stack import ADAPTERS, EPP, Simulators, client_of

# Seconds from Ctrl-C to the end of everything: the promise of `epp up`.
PROMISED_END = 5.0

READY = "Ctrl-C ends it all"


class Up(Process):
    """`epp up` on ports of its own, ready when it says so."""

    def __init__(self, folder: Path, *flags: str) -> None:
        first = free_ports(8)
        names = ("port", "grpc-port", "grpc-health-port", "metrics-port", "admin-port", "sim-port")
        self.ports = {name: first + number for number, name in enumerate(names)}
        own = [f"--{name}={port}" for name, port in self.ports.items()]
        super().__init__([*EPP, "up", *own, *flags], folder / "up.log")
        self.client = client_of(self.ports["port"])
        self.admin = client_of(self.ports["metrics-port"])

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.admin.aclose()
        await super().__aexit__()

    async def ready(self) -> bool:
        # The demonstration ends by itself; nobody can use it.
        return READY in self.output() or "--demo" in self.argv

    async def parts(self) -> dict[str, int]:
        """The processes of the parts: name and process id."""
        named = {"sim": "sim", "serve": "picker", "--config-path": "envoy"}
        found = {}
        for pid in children(self.pid):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            found.update({part: pid for word, part in named.items() if word in words})
        return found


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def have_ended(watches: Sequence[int]) -> bool:
    """Whether the processes of these pidfds are no more."""
    ended, _, _ = select.select(watches, [], [], 0)
    return len(ended) == len(watches)


@asynccontextmanager
async def open_stream(client: httpx.AsyncClient) -> AsyncIterator[AsyncIterator[str]]:
    """An answer that has begun and would go on for minutes."""
    body = completion(max_tokens=100_000, stream=True)
    async with client.stream("POST", COMPLETIONS, json=body) as response:
        lines = response.aiter_lines()
        await anext(lines)
        yield lines


async def served(up: Up, body: dict[str, Any]) -> str:
    """Asks, and checks that the server that answers is the one that was picked; its address."""
    answer = await ask(up.client, CHAT, body)
    assert answer.status_code == 200
    query = {"request_id": answer.request.headers["x-request-id"]}
    [decision] = (await up.admin.get("/debug/decisions", params=query)).json()
    assert answer.headers["x-served-by"] == decision["picked"][0]
    return str(decision["picked"][0])


async def test_ctrl_c_in_the_middle_of_work(tmp_path: Path) -> None:
    async with Up(tmp_path) as up:
        models = [await served(up, chat(model=model)) for model in ADAPTERS for _ in range(3)]
        assert all(address.startswith("127.0.0.1:") for address in models)
        parts = await up.parts()
        assert sorted(parts) == ["envoy", "picker", "sim"]
        watches = [os.pidfd_open(pid) for pid in parts.values()]
        async with open_stream(up.client), open_stream(up.client):
            up.send(signal.SIGINT)
            assert await asyncio.wait_for(up.ended(), PROMISED_END) == 0
        assert have_ended(watches)
        for watch in watches:
            os.close(watch)


@pytest.mark.parametrize("part", ["picker", "envoy", "sim"])
async def test_a_part_that_dies_is_started_again(tmp_path: Path, part: str) -> None:
    async with Up(tmp_path) as up:
        await served(up, chat())
        os.kill((await up.parts())[part], signal.SIGKILL)
        await eventually(lambda: f"{part} is ready again" in up.output(), up.output)

        async def serves() -> bool:
            return (await ask(up.client, CHAT, chat())).status_code == 200

        await eventually(serves)
        assert await served(up, chat())


@pytest.mark.parametrize("cluster", ["override_host", "original_dst"])
async def test_the_demonstration(tmp_path: Path, cluster: str) -> None:
    async with Up(tmp_path, "--demo", f"--cluster={cluster}") as up:
        assert await up.ended() == 0, up.output()
        assert "60 of 60 requests got HTTP 200" in up.output()


async def test_in_front_of_servers_that_are_there(tmp_path: Path) -> None:
    async with Simulators(tmp_path, 2, "--time-scale=50") as sim:
        backends = [f"--backend=http://{address}" for address in sim.addresses]
        async with Up(tmp_path, *backends) as up:
            by = {await served(up, chat(f"question {number}")) for number in range(6)}
            assert by == set(sim.addresses)
            assert "sim" not in await up.parts()
            assert await up.terminate() == 0
        assert all(state["served"] for state in await sim.states())


async def test_on_a_terminal(tmp_path: Path) -> None:
    """The table is drawn, and Ctrl-C that is typed ends it."""
    terminal, theirs = pty.openpty()
    up = Up(tmp_path)
    run = "import os, sys; os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", run, *up.argv), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.set_blocking(terminal, False)
    screen = b""

    def shows(*texts: str) -> bool:
        nonlocal screen
        with suppress(BlockingIOError):
            screen += os.read(terminal, 1 << 16)
        return all(text.encode() in screen for text in texts)

    addresses = [f"127.0.0.1:{up.ports['sim-port'] + number}" for number in range(3)]
    await eventually(lambda: shows(READY, *addresses, "queue"), lambda: screen.decode(errors="replace"))
    watches = [os.pidfd_open(pid) for pid in children(process.pid)]
    os.write(terminal, b"\x03")
    assert await asyncio.wait_for(process.wait(), PROMISED_END) == 0
    assert len(watches) == 3
    assert have_ended(watches)
    for fd in (*watches, terminal):
        os.close(fd)
