"""Two vLLM servers, the picker of their pool, Envoy in front, and the `openai` client that asks.

openai ──▶ Gateway (Envoy) ──▶ two Vllm
              │
              └──▶ Picker
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from tests.e2e.process import PATIENCE
from tests.e2e.stack import Gateway, Picker, request_id
from tests.vllm.server import BASE_MODEL, Load, Vllm

# Flag of the picker. Two servers, Envoy, the picker and the tests may have two cores together, and a server's
# page then takes more than a second now and then; with the default of 2 s it would count as gone.
PATIENT = "--metrics-staleness-threshold=5s"

# Flag of the picker: scores of what is known now, so that a test can say where a request goes. What the
# built-in profile learns from answers depends on how fast the machine was.
BY_KNOWN_LOAD = (
    "--config-text={apiVersion: inference.networking.x-k8s.io/v1alpha1, kind: EndpointPickerConfig,"
    " plugins: [{type: queue-scorer}, {type: kv-cache-utilization-scorer}, {type: prefix-cache-scorer},"
    " {type: lora-affinity-scorer}, {type: active-request-scorer}],"
    " schedulingProfiles: [{name: known, plugins: [{pluginRef: queue-scorer, weight: 2},"
    " {pluginRef: kv-cache-utilization-scorer, weight: 2},"
    " {pluginRef: prefix-cache-scorer, weight: 3}, {pluginRef: lora-affinity-scorer, weight: 2},"
    " {pluginRef: active-request-scorer, weight: 2}]}]}"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a completion came back as."""

    id: str  # the request's
    server: str  # who made it, by Envoy
    model: str
    text: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that runs. `client` asks the gateway."""

    servers: tuple[Vllm, Vllm]
    picker: Picker
    gateway: Gateway
    client: AsyncOpenAI

    @property
    def addresses(self) -> set[str]:
        """Of the servers."""
        return {server.address for server in self.servers}

    async def loads(self) -> dict[str, Load]:
        """What each server says of its load, by address."""
        return {server.address: await server.load() for server in self.servers}

    async def seen_loads(self) -> dict[str, Load]:
        """What the picker believes of it."""
        endpoints = await self.picker.endpoints()
        return {
            address: Load(each["running"], each["waiting"], each["kv_usage"])
            for address, each in endpoints.items()
        }

    async def picked(self, id: str) -> str:
        """The server that the picker chose for a request."""
        decision = await self.picker.decision(id)
        address: str = decision["picked"][0]
        return address

    async def is_idle(self) -> bool:
        """Whether no part has a request, or holds anything for one."""
        return await self.picker.is_idle() and all([await server.is_idle() for server in self.servers])


def openai_client(port: int) -> AsyncOpenAI:
    """A client of a local port that tries everything once."""
    return AsyncOpenAI(
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key="none is asked for",
        max_retries=0,
        timeout=PATIENCE,
        http_client=DefaultAsyncHttpxClient(trust_env=False),
    )


def exactly(tokens: int) -> dict[str, Any]:
    """Arguments for an answer of so many tokens, the same each time."""
    return {"max_tokens": tokens, "temperature": 0, "extra_body": {"ignore_eos": True}}


async def complete(
    client: AsyncOpenAI, prompt: str, model: str = BASE_MODEL, tokens: int = 8, id: str = ""
) -> Answer:
    """A completion that is not streamed."""
    id = id or request_id()
    raw = await client.completions.with_raw_response.create(
        model=model, prompt=prompt, extra_headers={"x-request-id": id}, **exactly(tokens)
    )
    completion = raw.parse()
    assert completion.usage is not None
    return Answer(
        id,
        raw.headers.get("x-served-by", ""),
        completion.model,
        completion.choices[0].text,
        completion.usage.prompt_tokens,
        completion.usage.completion_tokens,
    )
