import json
from typing import Any

import pytest

from epp.sim.answers import (
    DONE,
    ChatAnswer,
    CompletionAnswer,
    EmbeddingAnswer,
    ResponsesAnswer,
    TokenUsage,
)

USAGE = TokenUsage(prompt=10, completion=2, cached=4)
USAGE_JSON = {
    "prompt_tokens": 10,
    "total_tokens": 12,
    "completion_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 4},
}


def data(event: bytes) -> Any:
    assert event.endswith(b"\n\n")
    return json.loads(event.removeprefix(b"data: "))


def test_a_whole_completion() -> None:
    body = CompletionAnswer("1", "base", 99).whole(["the sim ", "says"], USAGE)
    assert body["id"] == "cmpl-1"
    assert body["object"] == "text_completion"
    assert (body["model"], body["created"]) == ("base", 99)
    assert [(c["index"], c["text"], c["finish_reason"]) for c in body["choices"]] == [
        (0, "the sim ", "length"),
        (1, "says", "length"),
    ]
    assert body["usage"] == USAGE_JSON


def test_a_streamed_completion() -> None:
    answer = CompletionAnswer("1", 'a "base"', 99)
    assert answer.opening(0) == b""

    chunk = data(answer.token(1, "the ", last=False, usage=None))
    assert chunk == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 99,
        "model": 'a "base"',
        "choices": [
            {"index": 1, "text": "the ", "logprobs": None, "finish_reason": None, "stop_reason": None}
        ],
    }
    assert data(answer.token(1, "sim ", last=True, usage=None))["choices"][0]["finish_reason"] == "length"


def test_a_streamed_chat() -> None:
    answer = ChatAnswer("1", "base", 99)
    first = data(answer.opening(0))
    assert (first["id"], first["object"]) == ("chatcmpl-1", "chat.completion.chunk")
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}

    chunk = data(answer.token(0, "the ", last=True, usage=None))
    assert chunk["choices"] == [
        {"index": 0, "delta": {"content": "the "}, "logprobs": None, "finish_reason": "length"}
    ]


def test_a_whole_chat() -> None:
    body = ChatAnswer("1", "base", 99).whole(["the "], USAGE)
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "the "}
    assert body["usage"] == USAGE_JSON


@pytest.mark.parametrize("answer", [CompletionAnswer("1", "base", 99), ChatAnswer("1", "base", 99)])
def test_usage_comes_in_a_last_chunk_without_choices(answer: CompletionAnswer | ChatAnswer) -> None:
    assert answer.closing(["x"], USAGE, include_usage=False) == DONE

    events = answer.closing(["x"], USAGE, include_usage=True)
    chunk = data(events.removesuffix(DONE))
    assert (chunk["choices"], chunk["usage"]) == ([], USAGE_JSON)


@pytest.mark.parametrize("answer", [CompletionAnswer("1", "base", 99), ChatAnswer("1", "base", 99)])
def test_continuous_usage_is_in_every_chunk(answer: CompletionAnswer | ChatAnswer) -> None:
    assert data(answer.token(0, "the ", last=False, usage=USAGE))["usage"] == USAGE_JSON


def test_a_response_and_its_events() -> None:
    answer = ResponsesAnswer("1", "base", 99)
    events = (
        answer.opening(0) + answer.token(0, "the ", True, None) + answer.closing(["the "], USAGE, False)
    ).decode()
    found = [
        dict(line.split(": ", 1) for line in event.splitlines()) for event in events.strip().split("\n\n")
    ]
    payloads = [json.loads(event["data"]) for event in found]
    assert [event["event"] for event in found] == [payload["type"] for payload in payloads]
    assert [payload["type"] for payload in payloads] == [
        "response.created",
        "response.output_text.delta",
        "response.completed",
    ]
    assert [payload["sequence_number"] for payload in payloads] == [0, 1, 2]
    assert payloads[1]["delta"] == "the "
    whole = payloads[2]["response"]
    assert whole == answer.whole(["the "], USAGE)
    assert whole["output"][0]["content"][0]["text"] == "the "
    assert (whole["usage"]["input_tokens"], whole["usage"]["output_tokens"]) == (10, 2)


def test_embeddings_have_one_list_of_numbers_for_each_input() -> None:
    body = EmbeddingAnswer("1", "base", 99).whole(["a", "b"], USAGE)
    first, second = (item["embedding"] for item in body["data"])
    assert [item["index"] for item in body["data"]] == [0, 1]
    assert len(first) == len(second)
    assert first != second
    assert all(-1 <= value < 1 for value in first)
    assert body["usage"]["total_tokens"] == 10
