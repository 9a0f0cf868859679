"""After very many requests and resets nothing is left: no stream, no reservation, no byte, no memory.

`make soak` runs it with 24,000 requests in each test; here are fewer.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from epp.transport.ext_proc import ext_proc_methods
from epp.transport.h2_server import H2Server
from tests import pickers
from tests.e2e.process import eventually
from tests.e2e.soak import CONCURRENCY, straight, through_envoy
from tests.e2e.stack import Picker, Stack, running_stack
from tests.pools import address, load

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUESTS = int(os.environ.get("SOAK_REQUESTS", "2000"))

# Bytes by which a picker may grow from the second half of its requests: what it keeps (decisions, prefixes,
# names in labels) is bounded and there after the first, and the allocator's slack is of this size.
GROWTH = 16 << 20

Round = Callable[[int, int], Awaitable[Counter[str]]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("soak")
    async with running_stack(folder, sim=["--time-scale=50"]) as stack:
        yield stack


async def test_streams_of_a_gateway(stack: Stack) -> None:
    async def ask(requests: int, seed: int) -> Counter[str]:
        return await straight(stack.picker.port, stack.pool.addresses, requests, seed, tls=True)

    await soak(stack.picker, ask)


async def test_requests_through_envoy(stack: Stack) -> None:
    async def ask(requests: int, seed: int) -> Counter[str]:
        return await through_envoy(stack.gateway.port, stack.pool.addresses, requests, seed)

    await soak(stack.picker, ask)
    await eventually(lambda: unused(stack), "the end of every request in the servers")


async def soak(picker: Picker, ask: Round) -> None:
    """Two equal rounds: all that was taken is given back, all is counted, and the second costs no memory."""
    counters = ("epp_streams_total", "inference_objective_request_total")
    before = [await picker.metric(name) for name in counters]
    tally: Counter[str] = Counter()
    resident = []
    for seed in (1, 2):
        tally += await ask(REQUESTS // 2, seed)
        await eventually(picker.is_idle)
        resident.append(picker.resident_bytes)
    print(f"{dict(tally)}; MiB after each round: {[size >> 20 for size in resident]}")  # with `pytest -s`
    assert tally["answered"] > tally["given up"] > 0
    for name, count in zip(counters, before, strict=True):
        assert tally["answered"] <= await picker.metric(name) - count <= tally.total()
    assert await picker.metric("inference_objective_running_requests") == 0
    assert await picker.metric("epp_transport_limits_total") == 0
    assert '"level":"error"' not in picker.output()
    assert resident[1] - resident[0] < GROWTH, resident


async def unused(stack: Stack) -> bool:
    return not any(state["running"] or state["waiting"] for state in await stack.sim.states())


async def test_no_byte_stays_counted() -> None:
    """In this process, to see what the transport and the reservations count."""
    picker = pickers.Picker(load(), load())
    hits: list[str] = []
    methods = ext_proc_methods(picker.conversation)
    server = H2Server(methods, "127.0.0.1:0", certificate=None, max_body_bytes=1 << 20, limit_hit=hits.append)
    await server.start()
    tally = await straight(server.port, [address(0), address(1)], REQUESTS, seed=3, tls=False)
    assert tally.total() == REQUESTS >= CONCURRENCY
    await eventually(lambda: not server.connections)
    assert server.tally.buffered == 0
    assert picker.held == 0
    assert not hits
    await server.drain(0)
    assert not server.tasks
