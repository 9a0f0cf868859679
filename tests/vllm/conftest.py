"""One pair of servers for all tests, and what was found at the end of the report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.process import eventually, free_ports
from tests.e2e.stack import Gateway, Picker, Pool
from tests.vllm.install import install, wanted_folder
from tests.vllm.server import Vllm, make_model
from tests.vllm.stack import BY_KNOWN_LOAD, PATIENT, Stack, openai_client

FOUND = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def venv() -> Path:
    """vLLM's virtual environment, installed on first use."""
    folder = wanted_folder()
    install(folder)
    return folder


@pytest.fixture(scope="session")
def model_folder(venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model with its adapters."""
    return make_model(venv, tmp_path_factory.mktemp("vllm"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(venv: Path, model_folder: Path) -> AsyncIterator[tuple[Vllm, Vllm]]:
    """Two servers that started together."""
    port = free_ports(2)
    one, other = (Vllm(model_folder.parent, venv, model_folder, port + number) for number in range(2))
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            for server in (one, other):
                group.create_task(stack.enter_async_context(server), name=f"start {server.address}")
        yield one, other


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(servers: tuple[Vllm, Vllm], model_folder: Path) -> AsyncIterator[Stack]:
    """The stack, for as long as the tests run."""
    folder = model_folder.parent
    pool = Pool(folder / "pool", (server.address for server in servers))
    async with (
        Picker(folder, pool, PATIENT, BY_KNOWN_LOAD) as picker,
        Gateway(folder, picker, pool, served_by_header=True) as gateway,
        openai_client(gateway.port) as client,
    ):
        yield Stack(servers, picker, gateway, client)


@pytest_asyncio.fixture(loop_scope="session")
async def stack(running: Stack) -> AsyncIterator[Stack]:
    """The stack, idle before a test and after it: nothing of its requests is left anywhere."""
    await eventually(running.is_idle, "idleness before the test")
    yield running
    await eventually(running.is_idle, "idleness after the test")


@pytest.fixture
def found(request: pytest.FixtureRequest) -> list[str]:
    """Lines about what a test has seen, for the end of the report."""
    return request.config.stash.setdefault(FOUND, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints what the tests have seen."""
    if lines := config.stash.get(FOUND, []):
        terminalreporter.section("seen with vLLM")
        for line in lines:
            terminalreporter.write_line(line)
