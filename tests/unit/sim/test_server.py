"""One simulated server over real HTTP, with aiohttp's client and with OpenAI's."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from epp.sim.cluster import Cluster
from epp.sim.server import SimServer
from epp.sim.settings import SimSettings

MODEL = "meta-llama/Llama-3.1-8B-Instruct"

# Simulated seconds per real one: a decoding step takes 0.4 ms.
FAST = 20.0

# Tokens of an answer that is not over while a test looks at it.
ENDLESS = 100_000


class Client:
    """Speaks to one server of a cluster."""

    def __init__(self, session: aiohttp.ClientSession, server: SimServer) -> None:
        self._session = session
        self.address = server.address

    def post(self, path: str, body: Any, **options: Any) -> Any:
        return self._session.post(f"http://{self.address}{path}", json=body, **options)

    def get(self, path: str) -> Any:
        return self._session.get(f"http://{self.address}{path}")

    async def json(self, path: str, body: Any = None, status: int = 200) -> Any:
        async with self.get(path) if body is None else self.post(path, body) as response:
            assert response.status == status
            return await response.json()

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The state of the server once `condition` is true of it."""
        async with asyncio.timeout(30):
            while True:
                state = await self.json("/sim/state")
                if condition(state):
                    return dict(state)
                await asyncio.sleep(0.01)

    async def sample(self, name: str) -> float:
        """The value of a series without labels of its own."""
        async with self.get("/metrics") as response:
            page = await response.text()
        [value] = [s.value for f in text_string_to_metric_families(page) for s in f.samples if s.name == name]
        return float(value)


@asynccontextmanager
async def clients(**settings: Any) -> AsyncIterator[list[Client]]:
    defaults: dict[str, Any] = {"servers": 1, "port": 0, "time_scale": FAST}
    async with Cluster(SimSettings(**(defaults | settings))) as cluster, aiohttp.ClientSession() as session:
        yield [Client(session, server) for server in cluster.servers]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with clients() as [only]:
        yield only


@pytest.fixture
async def openai_client(client: Client) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"http://{client.address}/v1", api_key="none", max_retries=0
    ) as found:
        yield found


async def test_a_completion(client: Client) -> None:
    body = await client.json("/v1/completions", {"model": MODEL, "prompt": "Say this is a test"})
    assert body["model"] == MODEL
    assert len(body["choices"][0]["text"]) == 16 * 4
    assert body["usage"] == {
        "prompt_tokens": 5,
        "total_tokens": 21,
        "completion_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


async def test_every_answer_says_who_served_it_and_gives_the_request_id_back(client: Client) -> None:
    headers = {"x-request-id": "abc"}
    for path, body in (
        ("/v1/completions", {"prompt": "a"}),
        ("/v1/completions", {"prompt": "a", "stream": True}),
        ("/v1/completions", {"prompt": "a", "model": "nobody"}),
        ("/nowhere", {}),
    ):
        async with client.post(path, body, headers=headers) as response:
            await response.read()
            assert response.headers["x-served-by"] == client.address
            assert response.headers["x-request-id"] == "abc"


async def test_the_load_rides_on_the_answer_if_asked_for(client: Client) -> None:
    await client.json("/sim/load", {"waiting": 3, "kv_usage": 0.5})
    for stream in (False, True):
        asked = {"endpoint-load-metrics-format": "TEXT"}
        async with client.post(
            "/v1/completions", {"prompt": "a", "stream": stream}, headers=asked
        ) as response:
            assert response.headers["endpoint-load-metrics"] == (
                "TEXT named_metrics.num_requests_waiting=3.0, named_metrics.kv_cache_usage_perc=0.5"
            )
            await response.read()
    async with client.post("/v1/completions", {"prompt": "a"}) as response:
        assert "endpoint-load-metrics" not in response.headers


async def test_a_stream_sends_its_first_token_before_the_last_is_made(client: Client) -> None:
    body = {"prompt": "a", "stream": True, "max_tokens": ENDLESS}
    async with client.post("/v1/completions", body) as response:
        assert response.content_type == "text/event-stream"
        first = await response.content.readline()
        assert json.loads(first.removeprefix(b"data: "))["choices"][0]["finish_reason"] is None
        assert (await client.json("/sim/state"))["running"] == 1


async def test_a_stream_ends_with_usage_and_the_end_mark(client: Client) -> None:
    body = {"prompt": "a", "stream": True, "max_tokens": 3, "stream_options": {"include_usage": True}}
    async with client.post("/v1/completions", body) as response:
        lines = [line for line in (await response.text()).splitlines() if line]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert lines[-1] == "data: [DONE]"
    assert [len(chunk["choices"]) for chunk in chunks] == [1, 1, 1, 0]
    assert chunks[-1]["usage"]["completion_tokens"] == 3


async def test_a_stream_over_http_1_0_is_not_chunked(client: Client) -> None:
    host, _, port = client.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"prompt": "a", "stream": True, "max_tokens": 2})
    writer.write(f"POST /v1/completions HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    events = answer.split(b"\r\n\r\n", 1)[1].split(b"\n\n")
    assert [event[:5] for event in events] == [b"data:"] * 3 + [b""]


async def test_openai_completions(openai_client: openai.AsyncOpenAI) -> None:
    whole = await openai_client.completions.create(model=MODEL, prompt=["one", "two"], max_tokens=4, n=2)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (2, 16)

    stream = await openai_client.completions.create(model=MODEL, prompt="one", max_tokens=4, stream=True)
    texts = [chunk.choices[0].text async for chunk in stream]
    assert "".join(texts) == whole.choices[0].text
    assert len(texts) == 4


async def test_openai_chat(openai_client: openai.AsyncOpenAI) -> None:
    whole = await openai_client.chat.completions.create(
        model="food-review", messages=[{"role": "user", "content": "why?"}], max_completion_tokens=4
    )
    assert (whole.model, whole.choices[0].finish_reason) == ("food-review", "length")

    stream = await openai_client.chat.completions.create(
        model="food-review",
        messages=[{"role": "user", "content": "why?"}],
        max_completion_tokens=4,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    words = [chunk.choices[0].delta.content for chunk in chunks[:-1]]
    assert "".join(word or "" for word in words) == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4


async def test_openai_responses(openai_client: openai.AsyncOpenAI) -> None:
    whole = await openai_client.responses.create(model=MODEL, input="why?", max_output_tokens=4)
    assert len(whole.output_text) == 16
    assert whole.usage is not None
    assert whole.usage.output_tokens == 4

    stream = await openai_client.responses.create(model=MODEL, input="why?", max_output_tokens=4, stream=True)
    events = [event async for event in stream]
    assert [event.type for event in events] == [
        "response.created",
        *["response.output_text.delta"] * 4,
        "response.completed",
    ]


async def test_openai_embeddings(openai_client: openai.AsyncOpenAI) -> None:
    found = await openai_client.embeddings.create(model=MODEL, input=["a", "b"], encoding_format="float")
    assert [item.index for item in found.data] == [0, 1]
    assert found.usage.prompt_tokens == 2


async def test_models_and_adapters_at_run_time(client: Client, openai_client: openai.AsyncOpenAI) -> None:
    listed = await client.json("/v1/models")
    assert [(card["id"], card["parent"]) for card in listed["data"]] == [
        (MODEL, None),
        ("food-review", MODEL),
        ("cad-fabricator", MODEL),
    ]
    assert listed["data"][0]["max_model_len"] == 131_072

    sql = {"lora_name": "sql", "lora_path": "/adapters/sql"}
    for status in (200, 400):
        async with client.post("/v1/load_lora_adapter", sql) as response:
            assert response.status == status
    models = [model.id async for model in await openai_client.models.list()]
    assert models[-1] == "sql"
    await client.json("/v1/completions", {"model": "sql", "prompt": "a"})

    for status in (200, 404):
        async with client.post("/v1/unload_lora_adapter", {"lora_name": "sql"}) as response:
            assert response.status == status
    await client.json("/v1/completions", {"model": "sql", "prompt": "a"}, status=404)


async def test_errors_in_vllm_s_form(client: Client) -> None:
    unknown = await client.json("/v1/completions", {"model": "nobody", "prompt": "a"}, status=404)
    assert unknown == {
        "error": {
            "message": "The model `nobody` does not exist.",
            "type": "NotFoundError",
            "param": "model",
            "code": 404,
        }
    }
    for body in ({"prompt": ""}, {"prompt": "a", "max_tokens": 200_000}):
        wrong = await client.json("/v1/completions", body, status=400)
        assert (wrong["error"]["type"], wrong["error"]["code"]) == ("BadRequestError", 400)


async def test_health_version_and_unknown_paths(client: Client) -> None:
    async with client.get("/health") as response:
        assert (response.status, await response.read()) == (200, b"")
    assert "version" in await client.json("/version")
    assert await client.json("/nowhere", status=404) == {"detail": "Not Found"}
    assert await client.json("/v1/completions", status=405) == {"detail": "Method Not Allowed"}


async def test_the_page_of_metrics(client: Client) -> None:
    await client.json("/v1/completions", {"prompt": "a" * 400, "max_tokens": 2})
    await client.json("/v1/completions", {"prompt": "a" * 400, "max_tokens": 2})
    async with client.get("/metrics") as response:
        assert response.headers["content-type"].startswith("text/plain; version=")
    assert await client.sample("vllm:prefix_cache_queries_total") == 200
    assert await client.sample("vllm:prefix_cache_hits_total") == 96
    assert await client.sample("process_resident_memory_bytes") > 0


async def test_pinned_load_until_it_is_let_go(client: Client) -> None:
    await client.json("/sim/load", {"waiting": 7, "running": 3, "kv_usage": 0.9})
    assert await client.sample("vllm:num_requests_waiting") == 7
    assert await client.sample("vllm:num_requests_running") == 3
    assert await client.sample("vllm:kv_cache_usage_perc") == 0.9

    await client.json("/sim/load", {"waiting": None, "running": None, "kv_usage": None})
    assert await client.sample("vllm:num_requests_waiting") == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_is_cancelled(client: Client, stream: bool) -> None:
    body = {"prompt": "a", "stream": stream, "max_tokens": ENDLESS}
    request = asyncio.create_task(_read(client, body), name="client")
    await client.until(lambda state: state["running"] == 1)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    state = await client.until(lambda state: state["cancelled"] == 1)
    assert (state["running"], state["blocks_in_use"], state["served"]) == (0, 0, 0)


async def test_a_full_batch_makes_the_others_wait() -> None:
    async with clients(max_num_seqs=2) as [client], asyncio.TaskGroup() as group:
        body = {"prompt": "a", "max_tokens": ENDLESS}
        requests = [group.create_task(_read(client, body), name=f"client {index}") for index in range(3)]
        state = await client.until(lambda state: state["waiting"] == 1)
        assert state["running"] == 2
        assert await client.sample("vllm:num_requests_waiting") == 1
        for request in requests:
            request.cancel()


async def test_requests_fail_at_the_rate_asked_for(client: Client) -> None:
    await client.json("/sim/faults", {"fail_rate": 1})
    failed = await client.json("/v1/completions", {"prompt": "a"}, status=500)
    assert (failed["error"]["type"], failed["error"]["code"]) == ("InternalServerError", 500)
    await client.json("/v1/models")

    await client.json("/sim/faults", {"fail_rate": 0})
    await client.json("/v1/completions", {"prompt": "a"})
    state = await client.json("/sim/state")
    assert (state["served"], state["failed"]) == (1, 1)


async def test_a_request_hangs_until_the_fault_is_cleared(client: Client) -> None:
    await client.json("/sim/faults", {"hang_rate": 1})
    request = asyncio.create_task(client.json("/v1/completions", {"prompt": "a"}), name="client")
    await client.until(lambda state: state["hanging"] == 1)
    assert not request.done()

    await client.json("/sim/faults", {"hang_rate": 0})
    assert (await request)["object"] == "text_completion"
    assert (await client.json("/sim/state"))["hanging"] == 0


async def test_a_client_may_leave_a_hanging_request(client: Client) -> None:
    await client.json("/sim/faults", {"hang_rate": 1})
    request = asyncio.create_task(client.json("/v1/completions", {"prompt": "a"}), name="client")
    await client.until(lambda state: state["hanging"] == 1)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await client.until(lambda state: state["hanging"] == 0)


async def test_a_server_dies_after_its_last_answer_and_takes_the_others_with_it() -> None:
    async with clients(servers=2, die_after=2) as [first, second]:
        stream = {"prompt": "a", "stream": True, "max_tokens": ENDLESS}
        async with first.post("/v1/completions", stream) as cut:
            await cut.content.readline()
            for _ in range(2):
                await first.json("/v1/completions", {"prompt": "a"})
            with pytest.raises(aiohttp.ClientError):
                await cut.read()
        with pytest.raises(aiohttp.ClientError):
            await first.json("/health")
        await second.json("/v1/completions", {"prompt": "a"})


async def test_the_dead_come_back_as_new_when_another_server_is_asked() -> None:
    async with clients(servers=2) as [first, second]:
        await first.json("/v1/completions", {"prompt": "a" * 400})
        await second.json("/sim/faults", {"server": 0, "die_after": 0})
        with pytest.raises(aiohttp.ClientError):
            await first.json("/health")

        await second.json("/sim/faults", {"server": 0, "die_after": None})
        again = await first.json("/v1/completions", {"prompt": "a" * 400})
        assert again["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
        assert await first.sample("vllm:prompt_tokens_total") == 100


async def test_a_server_that_is_told_to_die_answers_that_first(client: Client) -> None:
    assert (await client.json("/sim/faults", {"die_after": 0}))["die_after"] == 0
    with pytest.raises(aiohttp.ClientError):
        await client.json("/health")


async def test_wrong_orders_are_refused(client: Client) -> None:
    await client.json("/sim/faults", {"fail_rate": 2}, status=400)
    await client.json("/sim/faults", {"server": 1, "fail_rate": 1}, status=400)
    await client.json("/sim/load", {"waiting": -1}, status=400)


async def _read(client: Client, body: dict[str, Any]) -> None:
    async with client.post("/v1/completions", body) as response:
        await response.read()
