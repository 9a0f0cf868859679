"""Who is let in and among whom is chosen: priorities and shedding, the subset hint, the load of endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.asks import COMPLETIONS, ask, completion, picked_for
from tests.e2e.process import eventually
from tests.e2e.stack import BASE_MODEL, Gateway, Stack, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

OBJECTIVE = "x-gateway-inference-objective"
SUBSET_NAMESPACE = "envoy.lb.subset_hint"
SUBSET_KEY = "x-gateway-destination-endpoint-subset"
_HTTP = "type.googleapis.com/envoy.extensions.filters.http"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, transport: str) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("admission")
    async with running_stack(folder, sim=["--time-scale=50"], transport=transport) as stack:
        yield stack


async def pin(stack: Stack, *loads: Mapping[str, Any]) -> None:
    """Holds the servers' gauges, and waits until the picker knows them."""
    for address, load in zip(stack.sim.addresses, loads, strict=True):
        await stack.sim.pin_load(address, **load)

    async def known() -> bool:
        endpoints = await stack.picker.endpoints()
        return all(
            endpoints[address][name] == (value or 0)
            for address, load in zip(stack.sim.addresses, loads, strict=True)
            for name, value in load.items()
        )

    await eventually(known, "the load that was pinned")


def each(**load: Any) -> list[dict[str, Any]]:
    """The same load for each of three servers."""
    return [load] * 3


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def let_go(stack: Stack) -> AsyncIterator[None]:
    yield
    await pin(stack, *each(waiting=None, kv_usage=None))


async def status(stack: Stack, objective: str = "") -> int:
    headers = {OBJECTIVE: objective} if objective else None
    return (await ask(stack.client, COMPLETIONS, completion(), headers)).status_code


@pytest.mark.parametrize("load", [{"waiting": 5}, {"kv_usage": 0.8}], ids=str)
async def test_a_saturated_pool_sheds_negative_priorities(stack: Stack, load: dict[str, Any]) -> None:
    assert await status(stack, "batch") == 200
    await pin(stack, *each(**load))
    before = await stack.picker.metric("epp_refused_total", reason="shed")

    refused = await ask(stack.client, COMPLETIONS, completion(), {OBJECTIVE: "batch"})

    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-inference-error-reason"] == "shed"
    assert refused.headers["content-type"] == "application/json"
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert "x-served-by" not in refused.headers
    assert await stack.picker.metric("epp_refused_total", reason="shed") == before + 1

    await pin(stack, *each(**dict.fromkeys(load)))
    assert await status(stack, "batch") == 200


async def test_a_saturated_pool_serves_everybody_else(stack: Stack) -> None:
    await pin(stack, *each(waiting=20, kv_usage=0.95))
    for objective in ("food-review", "base-model", "", "nobody-knows-this-one"):
        assert await status(stack, objective) == 200


async def test_one_busy_endpoint_is_no_saturated_pool(stack: Stack) -> None:
    await pin(stack, {"waiting": 5}, {"waiting": 0}, {"waiting": 0})
    assert await status(stack, "batch") == 200


async def test_a_decision_tells_the_objectives_priority(stack: Stack) -> None:
    priorities = {}
    for objective in ("food-review", "base-model", "batch", "unknown", ""):
        headers = {OBJECTIVE: objective} if objective else None
        response = await ask(stack.client, COMPLETIONS, completion(), headers)
        decision = await stack.picker.decision(response.request.headers["x-request-id"])
        priorities[decision["objective"]] = decision["priority"]
    assert priorities == {"food-review": 10, "base-model": 1, "batch": -1, "unknown": 0, "": 0}
    placed = {
        priority: await stack.picker.metric(
            "inference_objective_request_total", model_name=BASE_MODEL, priority=str(priority)
        )
        for priority in (10, 1, -1, 0)
    }
    assert all(placed.values()), placed


async def test_the_least_loaded_endpoint_is_picked(stack: Stack) -> None:
    for free in range(3):
        loads = [{"waiting": 0 if number == free else 9} for number in range(3)]
        await pin(stack, *loads)
        response = await ask(stack.client, COMPLETIONS, completion(f"nobody has seen this prompt {free}"))
        assert response.headers["x-served-by"] == stack.sim.addresses[free]


def hint_from_header(manager: dict[str, Any]) -> None:
    """Turns the header x-test-subset into the subset hint, as one string."""
    value = {"metadata_namespace": SUBSET_NAMESPACE, "key": SUBSET_KEY, "type": "STRING"}
    rule = {"header": "x-test-subset", "on_header_present": value, "remove": True}
    config = {"@type": f"{_HTTP}.header_to_metadata.v3.Config", "request_rules": [rule]}
    manager["http_filters"].insert(
        0, {"name": "envoy.filters.http.header_to_metadata", "typed_config": config}
    )


def constant_hint(*addresses: str) -> Callable[[dict[str, Any]], None]:
    """Gives every request this subset hint, as a list."""
    entry = {"metadata_namespace": SUBSET_NAMESPACE, "value": {SUBSET_KEY: list(addresses)}}
    config = {"@type": f"{_HTTP}.set_metadata.v3.Config", "metadata": [entry]}

    def amend(manager: dict[str, Any]) -> None:
        manager["http_filters"].insert(0, {"name": "envoy.filters.http.set_metadata", "typed_config": config})

    return amend


@pytest.mark.parametrize("mode", ["FULL_DUPLEX_STREAMED", "STREAMED", "BUFFERED", "NONE"])
async def test_only_endpoints_of_the_subset_are_picked(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, mode: str
) -> None:
    one, two, three = stack.sim.addresses
    folder = tmp_path_factory.mktemp("subset")
    front = Gateway(folder, stack.picker, stack.pool, hint_from_header, request_body_mode=mode)
    async with front:
        for hint, allowed in (
            (one, {one}),
            (f"{two}, {three}", {two, three}),
            (f"10.0.0.1:80,{three}", {three}),
            ("127.0.0.1", {one, two, three}),
        ):
            headers = {"x-test-subset": hint}
            answers = [await ask(front.client, COMPLETIONS, completion(), headers) for _ in range(4)]
            answers += [await ask(front.client, "/v1/models", None, headers) for _ in range(4)]
            assert {answer.status_code for answer in answers} == {200}
            assert {answer.headers["x-served-by"] for answer in answers} == allowed
            assert {await picked_for(stack.picker, answer) for answer in answers} == allowed


async def test_a_subset_that_nobody_is_in_is_503(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("nobody")
    front = Gateway(folder, stack.picker, stack.pool, constant_hint("10.0.0.1:80", "10.0.0.2:80"))
    async with front:
        for body in (completion(), None):
            refused = await ask(front.client, COMPLETIONS if body else "/v1/models", body)
            assert refused.status_code == 503
            assert refused.headers["x-inference-error-reason"] == "no_endpoint"
            assert refused.headers["retry-after"] == "1"
            assert refused.json()["error"]["type"] == "service_unavailable_error"


async def test_a_list_is_a_subset_too(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    allowed = stack.sim.addresses[::2]
    front = Gateway(tmp_path_factory.mktemp("list"), stack.picker, stack.pool, constant_hint(*allowed))
    async with front:
        answers = [await ask(front.client, "/v1/models") for _ in range(6)]
    assert {answer.headers["x-served-by"] for answer in answers} == set(allowed)
