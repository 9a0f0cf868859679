"""The servers of the real runs, and what they are in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.validity import probes
from benchmarks.validity.asking import ask_all
from benchmarks.validity.worlds import Servers, gateway
from epp.sim.engine import EngineConfig
from epp.sim.tokens import TOKEN_BYTES
from tests.e2e.process import free_ports
from tests.e2e.stack import BASE_MODEL, Simulators
from tests.vllm import server as vllm
from tests.vllm.install import install, wanted_folder

# Four engines that have room for a third of the prefixes each: with room for all, or for none, it would not
# matter much which of them is asked.
_SIMULATED = 4
_SIMULATED_BLOCKS = 4000

# vLLM's on a CPU where nothing else is said, in its tokens, which are bytes here.
_VLLM_STEP_TOKENS = 2048


@asynccontextmanager
async def epp_sim(folder: Path, time_scale: float) -> AsyncIterator[Servers]:
    """`epp sim`."""
    flags = (f"--num-blocks={_SIMULATED_BLOCKS}", f"--time-scale={time_scale}")
    async with Simulators(folder, _SIMULATED, *flags) as servers:
        engine = EngineConfig(num_blocks=_SIMULATED_BLOCKS)
        found = Servers(BASE_MODEL, dict.fromkeys(servers.addresses, engine), time_scale)
        probed = await _probe(found, folder, probes.SHAPES[:1])
        yield replace(found, overhead=probes.overhead(probed, engine.step_time))


@asynccontextmanager
async def two_vllm(folder: Path, time_scale: float) -> AsyncIterator[Servers]:
    """vLLM with a tiny model, whose step times are measured first.

    A token of the simulation is 4 bytes, and one of this model a single byte: so the engines of the
    simulation have a quarter of its tokens everywhere. Real time cannot be scaled, so `time_scale` is 1.
    """
    if time_scale != 1:
        raise SystemExit("the time of real servers cannot be scaled")
    servers = _vllm(folder)
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(stack.enter_async_context(server), name=f"start {server.address}")
        found = Servers(vllm.BASE_MODEL, {server.address: EngineConfig() for server in servers})
        fit = probes.fit(await _probe(found, folder, probes.SHAPES))
        print(f"steps are modelled within {fit.worst:.0%}: {fit.step_time}", flush=True)
        engine = EngineConfig(
            max_num_seqs=vllm.BATCH,
            max_num_batched_tokens=_VLLM_STEP_TOKENS // TOKEN_BYTES,
            num_blocks=vllm.KV_CACHE_TOKENS // vllm.BLOCK,
            block_size=vllm.BLOCK // TOKEN_BYTES,
            step_time=fit.step_time,
        )
        yield replace(found, fleet=dict.fromkeys(found.fleet, engine), overhead=fit.overhead)


SERVERS: Mapping[str, Callable[[Path, float], AbstractAsyncContextManager[Servers]]] = {
    "sim": epp_sim,
    "vllm": two_vllm,
}


def _vllm(folder: Path) -> list[vllm.Vllm]:
    venv, port = wanted_folder(), free_ports(2)
    install(venv)
    model = vllm.make_model(venv, folder)
    return [vllm.Vllm(folder, venv, model, port + number) for number in range(2)]


async def _probe(servers: Servers, folder: Path, shapes: Sequence[probes.Shape]) -> list[probes.Probe]:
    sent, asked = zip(*probes.probing(shapes, len(servers.fleet)), strict=True)
    async with gateway("least-requests", servers.fleet, folder / "probing") as port:
        return probes.probes(sent, await ask_all(port, servers.model, asked, servers.time_scale))
