"""SIGTERM under load loses no request where Envoy asks for the picker's health and may do without it."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.asks import COMPLETIONS, ask, completion
from tests.e2e.load import Load
from tests.e2e.process import eventually
from tests.e2e.stack import Stack, running_stack


async def test_a_picker_that_is_stopped_and_started_again(tmp_path: Path, transport: str) -> None:
    flags = {"picker": ["--health-checking"], "transport": transport}
    gateway = {"picker_health_check": True, "fail_open": True}
    async with running_stack(tmp_path, sim=["--time-scale=50"], **flags, **gateway) as stack:
        async with Load(stack.client) as load:
            await load.more(50)
            assert await stack.picker.terminate() == 0
            load.next_phase()
            await load.more(50)
            await stack.picker.start()
            await eventually(stack.gateway.sees_picker)
            load.next_phase()
            await load.more(50)
        assert not load.lost(), load
        await eventually(lambda: asks_picker(stack), "a request that the picker is asked about")
        await eventually(stack.picker.is_idle)


async def asks_picker(stack: Stack) -> bool:
    answer = await ask(stack.client, COMPLETIONS, completion())
    assert answer.status_code == 200
    return "x-went-into-resp-headers" in answer.headers
