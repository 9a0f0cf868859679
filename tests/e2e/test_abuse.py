"""Floods, garbage and clients that vanish at the port where Envoy asks: Envoy's own requests are unhurt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, suppress
from itertools import cycle
from random import Random

import pytest
import pytest_asyncio

from tests.e2e.abuse import FLOODS, UNFINISHED
from tests.e2e.asks import connection
from tests.e2e.load import Load
from tests.e2e.process import eventually
from tests.e2e.soak import straight
from tests.e2e.stack import Stack, running_stack
from tests.fuzz.h2_client import SEED
from tests.fuzz.h2_core import corpus

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Connections that begin and say no more.
SILENT = 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("abuse")
    async with running_stack(folder, sim=["--time-scale=50"], tls=False) as stack:
        yield stack


async def say(port: int, *sent: bytes) -> bytes:
    """Sends on a connection of its own, ends its half, and hears what comes until the picker ends too."""
    async with connection(port) as (reader, writer):
        heard = b""
        with suppress(ConnectionError):
            for piece in sent:
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
            while piece := await reader.read(1 << 16):
                heard += piece
        return heard


async def again_and_again(port: int, clients: Iterable[bytes]) -> None:
    """One client after the other, without an end."""
    for client in cycle(clients):
        await say(port, client)


def noise() -> list[bytes]:
    """Bytes without any sense."""
    rng = Random(1)
    return [rng.randbytes(rng.randrange(1, 5_000)) for _ in range(100)]


ATTACKS: dict[str, list[bytes]] = {
    "floods": list(FLOODS.values()),
    "clients of the fuzzer": [client[SEED:] for client in corpus()],
    "noise": noise(),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_is_cut_off_and_counted(stack: Stack, name: str) -> None:
    limit = name.split()[0]
    before = await stack.picker.metric("epp_transport_limits_total", limit=limit)
    await say(stack.picker.port, FLOODS[name])
    assert await stack.picker.metric("epp_transport_limits_total", limit=limit) > before
    await eventually(stack.picker.is_idle)


@pytest.mark.parametrize("name", ATTACKS)
async def test_traffic_beside_an_attack_is_unhurt(stack: Stack, name: str) -> None:
    async with Load(stack.client) as load, AsyncExitStack() as silent:
        for client in (SILENT // len(UNFINISHED)) * UNFINISHED:
            _, writer = await silent.enter_async_context(connection(stack.picker.port))
            writer.write(client)
        attack = again_and_again(stack.picker.port, ATTACKS[name])
        attacking = asyncio.create_task(attack, name=name)
        tally = await straight(stack.picker.port, stack.pool.addresses, 300, seed=5, tls=False)
        await load.more(100)
        assert not attacking.done()
        attacking.cancel()
        await asyncio.gather(attacking, return_exceptions=True)
    assert tally["answered"] > 200
    assert not load.lost(), load
    await eventually(stack.picker.is_idle)
    assert '"level":"error"' not in stack.picker.output()
