"""Each part is harmed or taken away under traffic: what is lost, who tells it, and that all is given back.

What a client gets while a part is away:

| away                      | the answer                                                            |
|---------------------------|-----------------------------------------------------------------------|
| one of several servers    | 200 from another: Envoy goes on to the next of the list               |
| every server              | 503 from Envoy, after it has tried each                               |
| the pool has no endpoint  | 503 from the picker, `no_endpoint`                                    |
| the picker                | 500 from Envoy; with --fail-open 200 from an endpoint of Envoy's choice |
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e.asks import COMPLETIONS, ask, completion, connection, http_head, picked_for
from tests.e2e.load import Load
from tests.e2e.process import eventually
from tests.e2e.stack import Gateway, Picker, Pool, Simulators, Stack, request_id, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

# More tokens than any test waits for: some minutes of the simulator.
ENDLESS = 100_000

# Every endpoint of the pool as a fallback, in the order of the scores; and loads that stay believed, so that
# a test can say which endpoint is the best one also when it is dead.
BELIEVING = ["--metrics-staleness-threshold=1h"]
FALLBACKS = [
    "--config-text={apiVersion: inference.networking.x-k8s.io/v1alpha1, kind: EndpointPickerConfig,"
    " plugins: [{type: queue-scorer}, {type: max-score-picker, parameters: {maxNumOfEndpoints: 3}}]}",
    *BELIEVING,
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, transport: str) -> AsyncIterator[Stack]:
    """Every test leaves it as it found it."""
    folder = tmp_path_factory.mktemp("failures")
    async with running_stack(folder, sim=["--time-scale=5"], transport=transport) as stack:
        yield stack


@asynccontextmanager
async def own_picker(stack: Stack, folder: Path, *flags: str, **gateway: Any) -> AsyncIterator[Stack]:
    """The same servers behind a picker, of the same transport, and a gateway of the test's own."""
    pool = Pool(folder / "pool", stack.sim.addresses)
    asked = Picker(folder, pool, *flags, transport=stack.picker.transport)
    async with asked as picker, Gateway(folder, picker, pool, **gateway) as front:
        yield Stack(stack.sim, pool, picker, front)


@asynccontextmanager
async def stream(
    stack: Stack, tokens: int = ENDLESS, **more: Any
) -> AsyncIterator[tuple[str, AsyncIterator[str]]]:
    """A streamed answer of which the first token has come: its server, and the lines that follow.

    No two have a prompt in common, which would bring them to the same server.
    """
    id = request_id()
    body = completion(f"{id} is my name", max_tokens=tokens, stream=True, **more)
    headers = {"x-request-id": id}
    async with stack.client.stream("POST", COMPLETIONS, json=body, headers=headers) as response:
        lines = response.aiter_lines()
        assert (await anext(lines)).startswith("data: {")
        assert await stack.picker.in_flight() >= 1
        yield response.headers["x-served-by"], lines


@asynccontextmanager
async def elsewhere(stack: Stack, server: str) -> AsyncIterator[tuple[str, AsyncIterator[str]]]:
    """A streamed answer of another server; streams that come to `server` keep it busy meanwhile."""
    async with AsyncExitStack() as streams:
        while True:
            other, lines = await streams.enter_async_context(stream(stack))
            if other != server:
                break
        yield other, lines


async def exhaust(lines: AsyncIterator[str]) -> str:
    """Reads to the end; the last line."""
    last = ""
    async for line in lines:
        last = line or last
    return last


class TestClients:
    async def test_a_client_that_leaves_takes_its_request_with_it(self, stack: Stack) -> None:
        async with stream(stack) as (server, _):
            before = (await stack.sim.state(server))["cancelled"]

        async def cancelled() -> bool:
            state = await stack.sim.state(server)
            return state["cancelled"] == before + 1 and not state["running"]

        await eventually(cancelled, "the end of the request in the server")
        await eventually(stack.picker.is_idle)

    async def test_a_client_that_leaves_before_the_answer(self, stack: Stack) -> None:
        async with connection(stack.gateway.port) as (_, writer):
            body = b'{"model": "food-review", "prompt": "hi", "max_tokens": 100000}'
            head = [f"POST {COMPLETIONS} HTTP/1.1", "host: here", f"content-length: {len(body)}"]
            writer.write(http_head(head) + body)
            await eventually(stack.picker.in_flight)
        await eventually(stack.picker.is_idle)

    async def test_a_client_that_leaves_in_the_middle_of_its_body(self, stack: Stack) -> None:
        opened = await stack.picker.metric("epp_streams_total")
        async with connection(stack.gateway.port) as (_, writer):
            head = [f"POST {COMPLETIONS} HTTP/1.1", "host: here", "content-length: 1000000"]
            writer.write(http_head(head) + b'{"model": "food-review", "prompt": "' + b"x" * 500_000)
            await eventually(lambda: stack.picker.metric("epp_streams_open"))
        await eventually(stack.picker.is_idle)
        assert await stack.picker.metric("epp_streams_total") == opened + 1

    async def test_many_clients_that_leave(self, stack: Stack) -> None:
        async def leave() -> None:
            async with stream(stack):
                pass

        await asyncio.gather(*(leave() for _ in range(30)))
        await eventually(stack.picker.is_idle)
        assert (await ask(stack.client, COMPLETIONS, completion())).status_code == 200


class TestServers:
    async def test_a_server_that_dies_in_the_middle_of_an_answer(self, stack: Stack) -> None:
        async with stream(stack, 500) as (survivor, good), elsewhere(stack, survivor) as (victim, bad):
            await stack.sim.set_faults(victim, die_after=0)
            # Its client is told by a cut connection, and not by an end that looks right.
            with pytest.raises(httpx.RemoteProtocolError):
                await exhaust(bad)
            assert await exhaust(good) == "data: [DONE]"
        await eventually(stack.picker.is_idle)
        for _ in range(6):
            answer = await ask(stack.client, COMPLETIONS, completion())
            assert answer.status_code == 200
            assert answer.headers["x-served-by"] != victim
        await stack.sim.set_faults(victim, die_after=None)

        async def serves() -> bool:
            return (await ask(stack.client, "/v1/models")).headers["x-served-by"] == victim

        await eventually(serves, "a request for the server that came back")

    async def test_an_error_of_a_server_is_passed_on(self, stack: Stack) -> None:
        for address in stack.sim.addresses:
            await stack.sim.set_faults(address, fail_rate=1)
        answer = await ask(stack.client, COMPLETIONS, completion())
        for address in stack.sim.addresses:
            await stack.sim.set_faults(address, fail_rate=0)
        assert answer.status_code == 500
        assert answer.headers["x-served-by"] == await picked_for(stack.picker, answer)
        assert answer.json()["error"]["type"] == "InternalServerError"

    async def test_a_server_that_never_answers_keeps_its_reservation(self, stack: Stack) -> None:
        for address in stack.sim.addresses:
            await stack.sim.set_faults(address, hang_rate=1)
        hanging = asyncio.create_task(ask(stack.client, COMPLETIONS, completion()))
        await eventually(stack.picker.in_flight)
        for address in stack.sim.addresses:
            await stack.sim.set_faults(address, hang_rate=0)
        assert (await hanging).status_code == 200
        await eventually(stack.picker.is_idle)


@asynccontextmanager
async def best_server_dead(stack: Stack) -> AsyncIterator[tuple[str, ...]]:
    """The servers in the order in which the picker prefers them; the first is dead, and it cannot know."""
    for waiting, address in enumerate(stack.sim.addresses):
        await stack.sim.pin_load(address, waiting=waiting)

    async def known() -> bool:
        endpoints = await stack.picker.endpoints()
        return [endpoints[address]["waiting"] for address in stack.sim.addresses] == [0, 1, 2]

    await eventually(known, "the order of the servers")
    await stack.sim.set_faults(stack.sim.addresses[0], die_after=0)
    try:
        yield stack.sim.addresses
    finally:
        await stack.sim.set_faults(stack.sim.addresses[0], die_after=None)
        for address in stack.sim.addresses:
            await stack.sim.pin_load(address, waiting=None)


async def in_flight(stack: Stack) -> list[int]:
    """Reservations on each server, in the order of their addresses."""
    endpoints = await stack.picker.endpoints()
    return [endpoints[address]["in_flight"] for address in stack.sim.addresses]


class TestDeadServer:
    async def test_the_next_of_the_list_serves(self, stack: Stack, tmp_path: Path) -> None:
        async with own_picker(stack, tmp_path, *FALLBACKS) as own, best_server_dead(own) as servers:
            for size in (1, 1 << 20, 5 << 20):
                async with stream(own, user="u" * size) as (server, _):
                    assert server == servers[1]
                    assert await in_flight(own) == [0, 1, 0]  # the reservation is where the request is
                await eventually(own.picker.is_idle)
            answer = await ask(own.client, COMPLETIONS, completion())
            decision = await own.picker.decision(answer.request.headers["x-request-id"])
            assert decision["picked"] == list(servers)
            assert answer.headers["x-served-by"] == servers[1]

    async def test_without_a_list_envoy_finds_another_and_the_picker_learns_of_it(
        self, stack: Stack, tmp_path: Path
    ) -> None:
        async with own_picker(stack, tmp_path, *BELIEVING) as own, best_server_dead(own) as servers:
            async with stream(own) as (server, _):
                assert server in servers[1:]
                assert await in_flight(own) == [int(each == server) for each in servers]
            await eventually(own.picker.is_idle)

    async def test_original_dst_has_no_other(self, stack: Stack, tmp_path: Path) -> None:
        async with own_picker(stack, tmp_path, *BELIEVING) as own, best_server_dead(own):
            async with Gateway(tmp_path, own.picker, own.pool, cluster="original_dst") as gateway:
                answer = await ask(gateway.client, COMPLETIONS, completion())
            assert answer.status_code == 503
            assert "x-inference-error-reason" not in answer.headers
            await eventually(own.picker.is_idle)


async def test_a_server_that_is_gone_gets_no_request_for_being_idle(tmp_path: Path) -> None:
    picks_any = (
        "--config-text={apiVersion: inference.networking.x-k8s.io/v1alpha1, kind: EndpointPickerConfig,"
        " plugins: [{type: random-picker}]}"
    )
    async with Simulators(tmp_path, 2) as sim:
        pool = Pool(tmp_path / "pool", sim.addresses)
        async with (
            Picker(tmp_path, pool, picks_any, *BELIEVING) as picker,
            Gateway(tmp_path, picker, pool) as gateway,
        ):
            await sim.set_faults(sim.addresses[0], die_after=0)
            places = asyncio.Semaphore(12)  # so that the other server is never idle

            async def ask_one() -> int:
                async with places:
                    return (await ask(gateway.client, COMPLETIONS, completion(max_tokens=20))).status_code

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask_one()) for _ in range(200)]
    assert {task.result() for task in tasks} == {200}


async def test_every_server_away_and_back(stack: Stack) -> None:
    async with Load(stack.client) as load:
        await load.more(50)
        away = load.next_phase()
        await stack.sim.kill()
        await load.more(20)
        answer = await ask(stack.client, COMPLETIONS, completion())
        await load.none_of(0)
        await stack.sim.start()
        back = load.next_phase()
        await load.more(100)

    # Envoy's own answer, after its retries: the picker had an endpoint to name.
    assert answer.status_code == 503
    assert "x-inference-error-reason" not in answer.headers
    assert {each.ended for each in load.lost(0)} <= {away}, load
    assert load.lost(away), load
    assert not load.lost(back), load
    await eventually(stack.picker.is_idle)


async def test_a_pool_without_endpoints(stack: Stack) -> None:
    stack.pool.write([])
    await eventually(lambda: is_not(stack.picker.endpoints))
    for path, body in ((COMPLETIONS, completion()), ("/v1/models", None)):
        answer = await ask(stack.client, path, body)
        assert answer.status_code == 503
        assert answer.headers["x-inference-error-reason"] == "no_endpoint"
    stack.pool.write(stack.sim.addresses)
    await eventually(stack.picker.endpoints)
    await eventually(lambda: stack.gateway.knows(stack.sim.addresses))
    assert (await ask(stack.client, COMPLETIONS, completion())).status_code == 200


async def test_endpoints_that_leave_and_come_lose_no_request(stack: Stack) -> None:
    async with Load(stack.client) as load:
        for addresses in (stack.sim.addresses[:2], stack.sim.addresses, stack.sim.addresses[1:]):
            await load.more(30)
            await change_pool(stack, addresses)
            load.next_phase()
        await load.more(30)
    await change_pool(stack, stack.sim.addresses)
    assert not load.lost(), load
    await eventually(stack.picker.is_idle)


async def change_pool(stack: Stack, addresses: Sequence[str]) -> None:
    """Returns once the picker and Envoy know."""
    stack.pool.write(addresses)

    async def known() -> bool:
        return set(await stack.picker.endpoints()) == set(addresses) and await stack.gateway.knows(addresses)

    await eventually(known, "the new pool")


class TestPicker:
    async def test_killed_and_started_again_under_load(self, stack: Stack) -> None:
        async with Load(stack.client) as load:
            await load.more(50)
            away = load.next_phase()
            await stack.picker.kill()
            # A look at its health begun while it is away may fail when it is back: Envoy has to know first.
            await eventually(lambda: is_not(stack.gateway.sees_picker))
            await load.more(10)
            answer = await ask(stack.client, COMPLETIONS, completion())
            await load.none_of(0)
            await stack.picker.start()
            await eventually(stack.gateway.sees_picker, "Envoy's sight of the picker")
            back = load.next_phase()
            await load.more(100)

        assert answer.status_code == 500
        assert "x-inference-error-reason" not in answer.headers
        # Those under way when it died, and those that came while it was away; none that came after.
        assert {each.ended for each in load.lost(0)} <= {away}, load
        assert not load.lost(back), load
        await eventually(stack.picker.is_idle)

    async def test_killed_under_load_with_fail_open(self, stack: Stack, tmp_path: Path) -> None:
        async with Gateway(tmp_path, stack.picker, stack.pool, fail_open=True) as gateway:
            async with Load(gateway.client) as load:
                await load.more(50)
                load.next_phase()
                await stack.picker.kill()
                await eventually(lambda: is_not(gateway.sees_picker))
                away = load.next_phase()
                await load.more(100)
                answer = await ask(gateway.client, COMPLETIONS, completion())
                await stack.picker.start()
                await eventually(gateway.sees_picker)
                back = load.next_phase()
                await load.more(50)
            await eventually(lambda: asks_picker(gateway), "a request that the picker is asked about")

        assert answer.status_code == 200
        assert answer.headers["x-served-by"] in stack.sim.addresses
        assert "x-went-into-resp-headers" not in answer.headers  # nobody was asked
        assert not load.lost(away), load
        assert not load.lost(back), load
        await eventually(stack.gateway.sees_picker)

    async def test_one_that_hangs_is_passed_by_with_fail_open(self, stack: Stack, tmp_path: Path) -> None:
        health = {"picker_health_check": True, "fail_open": True}
        async with own_picker(stack, tmp_path, "--health-checking", **health) as own:
            own.picker.send(signal.SIGSTOP)
            caught = asyncio.create_task(ask(own.client, COMPLETIONS, completion()), name="caught")
            await eventually(lambda: is_not(own.gateway.sees_picker))
            await caught  # answered one way or the other, and not left to wait for the picker
            passed = await ask(own.client, COMPLETIONS, completion())
            own.picker.send(signal.SIGCONT)
            assert passed.status_code == 200
            assert "x-went-into-resp-headers" not in passed.headers
            await eventually(lambda: asks_picker(own.gateway), "a request that the picker is asked about")
            await eventually(own.picker.is_idle)

    async def test_drains_on_sigterm(self, stack: Stack, tmp_path: Path) -> None:
        # Four seconds of tokens: longer than the picker takes new streams.
        async with own_picker(stack, tmp_path) as own, stream(own, 2500) as (_, lines):
            own.picker.send(signal.SIGTERM)
            await eventually(lambda: is_not(own.picker.ready))
            new = await ask(own.client, COMPLETIONS, completion())
            assert new.status_code == 200
            assert new.headers["x-served-by"] == await picked_for(own.picker, new)
            assert await exhaust(lines) == "data: [DONE]"
            assert await own.picker.ended() == 0

    async def test_a_drain_has_an_end(self, stack: Stack, tmp_path: Path) -> None:
        async with own_picker(stack, tmp_path, "--drain-timeout=100ms") as own, stream(own) as (_, lines):
            assert await own.picker.terminate() == 0
            with pytest.raises(httpx.RemoteProtocolError):
                await exhaust(lines)


async def test_envoy_killed_and_started_again_under_load(stack: Stack) -> None:
    async with Load(stack.client) as load:
        await load.more(50)
        away = load.next_phase()
        await stack.gateway.kill()
        await load.more(10)
        await eventually(stack.picker.is_idle)  # every stream is given back although Envoy said nothing
        await load.none_of(0)
        await stack.gateway.start()
        back = load.next_phase()
        await load.more(100)
    assert {each.ended for each in load.lost(0)} <= {away}, load
    assert not load.lost(back), load
    await eventually(stack.picker.is_idle)


async def test_envoy_dies_in_the_middle_of_many_streams(stack: Stack, tmp_path: Path) -> None:
    """Bodies that have not all come, requests that wait for their answers, and answers that go on."""
    async with own_picker(stack, tmp_path) as own, AsyncExitStack() as clients:
        half = b'{"model": "food-review", "prompt": "' + b"x" * 100_000
        head = [f"POST {COMPLETIONS} HTTP/1.1", "host: here", "content-length: 1000000"]
        for _ in range(20):
            _, writer = await clients.enter_async_context(connection(own.gateway.port))
            writer.write(http_head(head) + half)
            asking = own.client.stream("POST", COMPLETIONS, json=completion(max_tokens=ENDLESS, stream=True))
            await clients.enter_async_context(asking)
        await eventually(lambda: has_open(own.picker, 40), "forty streams")
        assert await own.picker.in_flight() == 20
        await own.gateway.kill()
        await eventually(own.picker.is_idle)


async def has_open(picker: Picker, count: int) -> bool:
    return await picker.metric("epp_streams_open") == count


async def asks_picker(gateway: Gateway) -> bool:
    """Whether Envoy asks the picker about a request that it serves; failing open, it may not."""
    answer = await ask(gateway.client, COMPLETIONS, completion())
    assert answer.status_code == 200
    return "x-went-into-resp-headers" in answer.headers


async def is_not(condition: Callable[[], Awaitable[object]]) -> bool:
    """The opposite of a condition."""
    return not await condition()
