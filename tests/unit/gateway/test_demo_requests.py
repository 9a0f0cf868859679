from collections import Counter

import pytest

from epp.gateway.demo_requests import DemoRequest, Models, demo_requests, read_models

MODELS = Models("llama", ("food-review", "cad-fabricator"))


def test_every_shape_is_asked_equally_often():
    requests = demo_requests(MODELS)
    assert len({request.id for request in requests}) == 60
    shapes = Counter((request.api, request.stream, request.model) for request in requests)
    assert set(shapes.values()) == {5}
    assert len(shapes) == 12


def test_objectives_are_those_of_the_guide():
    assert {(request.model, request.objective) for request in demo_requests(MODELS)} == {
        ("llama", "base-model"),
        ("food-review", "food-review"),
        ("cad-fabricator", ""),
    }


def test_servers_without_adapters_are_asked_for_the_base_model():
    requests = demo_requests(Models("llama"))
    assert {request.model for request in requests} == {"llama"}
    assert len(requests) == 60


def test_a_completion():
    request = DemoRequest("demo-01", "completions", "food-review", False, "food-review", "Hello")
    assert request.path == "/v1/completions"
    assert request.headers == {"x-request-id": "demo-01", "x-gateway-inference-objective": "food-review"}
    assert request.body == {
        "model": "food-review",
        "prompt": "Hello",
        "max_tokens": 100,
        "temperature": 0,
        "stream": False,
    }


def test_a_streamed_chat():
    request = DemoRequest("demo-02", "chat/completions", "llama", True, "", "Hello")
    assert request.path == "/v1/chat/completions"
    assert request.headers == {"x-request-id": "demo-02"}
    assert request.body == {
        "model": "llama",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 100,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("cards", "models"),
    [
        ([{"id": "a", "parent": "llama"}, {"id": "llama", "parent": None}], Models("llama", ("a",))),
        ([{"id": "llama"}], Models("llama")),
        ([], None),
    ],
)
def test_models_as_vllm_lists_them(cards, models):
    assert read_models({"object": "list", "data": cards}) == models
