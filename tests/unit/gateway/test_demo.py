import aiohttp
import pytest
from aiohttp import web

from epp.gateway.demo import ask_models, run_demo
from epp.gateway.demo_requests import AT_A_TIME, Models
from epp.gateway.processes import StartError

SERVER = "127.0.0.1:8001"


class Gateway:
    """A gateway and its picker in one: every answer is right unless told otherwise."""

    def __init__(self):
        self.cards = [{"id": "llama", "parent": None}, {"id": "food-review", "parent": "llama"}]
        self.served_by = SERVER
        self.status = 200
        self.cut_off = False
        self.requests = []
        self.under_way = self.most_under_way = 0

    async def models(self, _):
        return web.json_response({"data": self.cards}, status=self.status)

    async def generate(self, request):
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        body = await request.json()
        self.requests.append((request.headers["x-request-id"], request.path, body["model"]))
        text = "data: {}\n\ndata: [DONE]\n\n" if body["stream"] else '{"choices": [{}]}'
        self.under_way -= 1
        return web.Response(
            text=text[: len(text) // 2] if self.cut_off else text, headers={"x-served-by": self.served_by}
        )

    async def decisions(self, _):
        weights, scores = {"queue-scorer": 2.0}, {"queue-scorer": 1.0}
        candidate = {"endpoint": "one", "address": SERVER, "total": 2.0, "scores": scores}
        common = {"picked": [SERVER], "priority": 0, "weights": weights, "candidates": [candidate]}
        return web.json_response([{"request_id": id, **common} for id, _, _ in self.requests])


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
async def url(gateway, free_port):
    app = web.Application()
    app.router.add_get("/v1/models", gateway.models)
    app.router.add_post("/v1/{api:.*}", gateway.generate)
    app.router.add_get("/debug/decisions", gateway.decisions)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def test_all_goes_as_picked(http, gateway, url):
    said = []
    assert await run_demo(http, url, url, said.append) is True
    assert said[-1] == "60 of 60 requests got HTTP 200 from the server that the picker chose"
    assert len({id for id, _, _ in gateway.requests}) == 60
    assert {path for _, path, _ in gateway.requests} == {"/v1/completions", "/v1/chat/completions"}
    assert gateway.most_under_way <= AT_A_TIME


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"served_by": "127.0.0.1:8002"}, "picked 127.0.0.1:8001, served by 127.0.0.1:8002"),
        ({"served_by": ""}, "picked 127.0.0.1:8001, served by ?"),
        ({"cut_off": True}, "a broken answer"),
    ],
)
async def test_what_does_not_go_as_picked_is_said(http, gateway, url, fault, words):
    vars(gateway).update(fault)
    said = []
    assert await run_demo(http, url, url, said.append) is False
    assert words in said[1]
    assert said[-1].startswith("0 of 60 requests")


async def test_nothing_can_be_shown_without_a_model(http, gateway, url):
    gateway.cards = []
    with pytest.raises(StartError, match="/v1/models names no model"):
        await run_demo(http, url, url, print)


async def test_models(http, gateway, url, free_port):
    assert await ask_models(http, url) == Models("llama", ("food-review",))
    assert await ask_models(http, f"http://127.0.0.1:{free_port()}") is None
    gateway.status = 503
    assert await ask_models(http, url) is None
