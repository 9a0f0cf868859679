"""Watching processes that are not our children."""

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# Far more than anything here takes; a test that waits this long has failed.
PATIENCE = 20.0


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Waits until a condition holds."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            select.select([], [], [], 0.01)

    return wait


@pytest.fixture
def gone() -> Callable[[int], None]:
    """Waits until a process has ended, whoever its parent is."""

    def wait(pid: int) -> None:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            assert select.select([watch], [], [], PATIENCE)[0], f"{pid} lives on"
        finally:
            os.close(watch)

    return wait


@pytest.fixture
def children() -> Callable[[], list[int]]:
    """The processes whose parent is this one, zombies included."""

    def find() -> list[int]:
        path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        return [int(pid) for pid in path.read_text().split()]

    return find
