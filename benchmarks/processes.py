"""Child processes of a benchmark: started, waited for, their CPU time and memory read from /proc, ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from epp.gateway import tether

START_TIMEOUT = 30.0
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = 1.0 / os.sysconf("SC_CLK_TCK")


class Process:
    """A command that listens on `port` when it is ready; ends with the `with` block or with this process."""

    def __init__(self, name: str, argv: Sequence[str], port: int, log: Path) -> None:
        self._name = name
        self._port = port
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise SystemExit(f"{self._name} did not start:\n{self._log.read_text(errors='replace')}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def cpu_seconds(self) -> float:
        """User and system time so far, of this process and of its children, running or waited for."""
        return sum(map(_cpu_seconds, _family(self._process.pid)))

    def memory_bytes(self) -> int:
        """Memory that it and its children hold now (resident set size)."""
        return sum(map(_memory_bytes, _family(self._process.pid)))


def _family(pid: int) -> list[int]:
    children = _read(pid, f"task/{pid}/children").split()
    return [pid, *(each for child in children for each in _family(int(child)))]


def _cpu_seconds(pid: int) -> float:
    # Fields 14 to 17 of proc(5)'s stat; the name before them may hold spaces.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * TICK


def _memory_bytes(pid: int) -> int:
    # The second field of proc(5)'s statm.
    return int(_read(pid, "statm").split()[1]) * PAGE


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text(encoding="ascii", errors="replace")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
