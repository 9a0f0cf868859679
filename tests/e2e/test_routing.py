"""Every kind of request in every body mode, cluster shape and transport is served by the endpoint picked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

import httpx
import pytest
import pytest_asyncio

from epp.gateway.settings import BodyModeName
from tests.e2e.asks import CHAT, COMPLETIONS, ask, chat, completion, events, picked_for
from tests.e2e.process import eventually
from tests.e2e.stack import ADAPTERS, BASE_MODEL, TRANSPORTS, Gateway, Picker, Pool, Simulators

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODES = get_args(BodyModeName)
CLUSTERS = ("override_host", "original_dst")

# Transport of the picker and whether it speaks TLS.
PICKERS = {
    f"{name} {'TLS' if tls else 'plain'}": (name, tls) for name, tls in product(TRANSPORTS, (True, False))
}
FIRST, *OTHERS = PICKERS

# Every pair of modes in both shapes with one picker; with the others, which know of neither, each mode once.
COMBINATIONS = [
    *((*modes, cluster, FIRST) for modes, cluster in product(product(MODES, MODES), CLUSTERS)),
    *((mode, mode, CLUSTERS[0], picker) for mode, picker in product(MODES, OTHERS)),
]

# Far over what any one message holds, in a field that costs the server no prefill.
MEGABYTE = completion(metadata={"note": "n" * 1_000_000})


@dataclass(frozen=True, slots=True)
class Servers:
    folder: Path
    pool: Pool
    pickers: Mapping[str, Picker]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """Simulated servers, and pickers of every kind."""
    folder = tmp_path_factory.mktemp("routing")
    async with Simulators(folder, 3, "--time-scale=50") as sim, AsyncExitStack() as stack:
        pool = Pool(folder / "pool", sim.addresses)
        pickers = {
            name: await stack.enter_async_context(Picker(folder, pool, transport=transport, tls=tls))
            for name, (transport, tls) in PICKERS.items()
        }
        yield Servers(folder, pool, pickers)


async def served(picker: Picker, response: httpx.Response) -> httpx.Response:
    """The response, checked: 200 from exactly the server that was picked."""
    assert response.status_code == 200, response.text
    assert response.headers["x-served-by"] == await picked_for(picker, response)
    return response


@pytest.mark.parametrize(("request_mode", "response_mode", "cluster", "kind"), COMBINATIONS)
async def test_every_request_is_served_by_the_endpoint_picked(
    servers: Servers, request_mode: str, response_mode: str, cluster: str, kind: str
) -> None:
    picker = servers.pickers[kind]
    front = Gateway(
        servers.folder,
        picker,
        servers.pool,
        cluster=cluster,
        request_body_mode=request_mode,
        response_body_mode=response_mode,
    )
    async with front as gateway:
        client = gateway.client

        whole = (await served(picker, await ask(client, COMPLETIONS, completion()))).json()
        assert (whole["object"], whole["model"]) == ("text_completion", BASE_MODEL)
        assert whole["usage"]["completion_tokens"] == 4

        talk = (await served(picker, await ask(client, CHAT, chat(model=ADAPTERS[0])))).json()
        assert (talk["object"], talk["model"]) == ("chat.completion", ADAPTERS[0])

        streamed = chat(stream=True, stream_options={"include_usage": True})
        *tokens, last = events((await served(picker, await ask(client, CHAT, streamed))).content)
        assert all(each["object"] == "chat.completion.chunk" for each in tokens)
        assert last["usage"]["completion_tokens"] == 4

        assert (await served(picker, await ask(client, COMPLETIONS, MEGABYTE))).json()["model"] == BASE_MODEL

        models = (await served(picker, await ask(client, "/v1/models"))).json()
        assert {each["id"] for each in models["data"]} == {BASE_MODEL, *ADAPTERS}
    await eventually(picker.is_idle)


async def test_decisions_know_the_model_where_the_body_is_seen(servers: Servers) -> None:
    picker = servers.pickers[FIRST]
    seen = {}
    for mode in MODES:
        async with Gateway(servers.folder, picker, servers.pool, request_body_mode=mode) as gateway:
            response = await served(picker, await ask(gateway.client, COMPLETIONS, completion()))
            decision = await picker.decision(response.request.headers["x-request-id"])
            seen[mode] = decision["model"], decision["api"]
    assert seen == {
        "FULL_DUPLEX_STREAMED": (BASE_MODEL, "completions"),
        "BUFFERED": (BASE_MODEL, "completions"),
        "BUFFERED_PARTIAL": (BASE_MODEL, "completions"),
        "STREAMED": ("", "none"),
        "NONE": ("", "none"),
    }


async def test_requests_spread_over_the_endpoints(servers: Servers) -> None:
    async with Gateway(servers.folder, servers.pickers[FIRST], servers.pool) as gateway:
        answers = [await ask(gateway.client, "/v1/models") for _ in range(6)]
    by = [answer.headers["x-served-by"] for answer in answers]
    assert sorted(by) == sorted(2 * servers.pool.addresses)
