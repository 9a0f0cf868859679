"""A prompt goes to the server that has its beginning in its KV cache, and vLLM says that it had."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.vllm.server import ADAPTERS, BLOCK, Vllm
from tests.vllm.stack import Stack, complete

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = " ".join(f"Paragraph {number} of a long story about endpoints." for number in range(28))


async def hits(server: Vllm) -> float:
    """Tokens of prompts that it has found in its cache."""
    return (await server.page()).value("vllm:prefix_cache_hits_total")


async def test_a_long_prompt_stays_with_the_server_that_knows_it(stack: Stack, found: list[str]) -> None:
    prompt = f"Once upon a time. {TEXT}"
    before = {server.address: await hits(server) for server in stack.servers}

    answers = [await complete(stack.client, prompt) for _ in range(6)]

    [place] = {answer.server for answer in answers}
    grown = {server.address: await hits(server) - before[server.address] for server in stack.servers}
    in_blocks = answers[0].prompt_tokens // BLOCK * BLOCK
    assert grown == {address: 5 * in_blocks if address == place else 0 for address in stack.addresses}
    found.append(f"6 equal prompts of {answers[0].prompt_tokens} tokens on one server: {grown[place]:g} hits")


async def test_conversations_stay_and_spread(stack: Stack, found: list[str]) -> None:
    turns = 5
    conversations = {name: f"{name} asks. {TEXT[:400]}" for name in ("Ada", "Grace", "Edsger", "Barbara")}
    places = defaultdict(list)
    before = sum([await hits(server) for server in stack.servers])
    asked = 0

    for turn in range(turns):
        for name, history in conversations.items():
            answer = await complete(stack.client, history)
            places[name].append(answer.server)
            asked += answer.prompt_tokens
            conversations[name] += f"{answer.text} And then, in turn {turn}? {TEXT[:100]}"

    assert all(len(set(servers)) == 1 for servers in places.values())
    assert {servers[0] for servers in places.values()} == stack.addresses
    share = (sum([await hits(server) for server in stack.servers]) - before) / asked
    assert share > 0.5
    found.append(f"{len(places)} conversations of {turns} turns: {share:.0%} of prompt tokens from the cache")


async def test_an_adapter_shares_no_prefix_with_the_base_model(stack: Stack) -> None:
    prompt = f"In a hole in the ground. {TEXT}"
    first = await complete(stack.client, prompt)
    known = {server.address: await hits(server) for server in stack.servers}

    adapted = await complete(stack.client, prompt, ADAPTERS[0])
    assert {server.address: await hits(server) for server in stack.servers} == known

    scores = {
        each["address"]: each["scores"]["prefix-cache-scorer"]
        for each in (await stack.picker.decision(adapted.id))["candidates"]
    }
    assert set(scores.values()) == {0}
    assert (await complete(stack.client, prompt)).server == first.server
