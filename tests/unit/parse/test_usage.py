"""Token counts in answers: every API's names, every place a chunk can be cut, and what is no usage."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.parse.usage import MAX_OBJECT_BYTES, UsageScanner
from epp.types import Usage


def scan(*chunks: bytes) -> Usage | None:
    scanner = UsageScanner()
    for chunk in chunks:
        scanner.feed(chunk)
    return scanner.usage


def events(*data: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in data) + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}, Usage(5, 7)),
        ({"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": None}, Usage(5, 7)),
        (
            {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}},
            Usage(5, 7, 4),
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 7, "prompt_token_details": {"cached_tokens": 4}},
            Usage(5, 7, 4),
        ),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": None}}, Usage(5, 0)),
        (
            {"input_tokens": 5, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 0}},
            Usage(5, 7, 0),
        ),
        (
            {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 3, "service_tier": "{"},
            Usage(5, 7, 3),
        ),
        ({"prompt_tokens": 5, "total_tokens": 5}, Usage(5, 0)),
        ({"output_tokens": 7}, Usage(0, 7)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        ({"prompt_tokens": 5, "completion_tokens": "7"}, Usage(5, 0)),
        ({"note": '}"{\\', "prompt_tokens": 5}, Usage(5, 0)),
        ({}, None),
        ({"total_tokens": 12}, None),
        ({"prompt_tokens": "5"}, None),
        ({"prompt_tokens": 5.0}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": -5}, None),
        ({"prompt_tokens": 10**400}, None),
        ({"prompt_tokens": None}, None),
        (None, None),
        ([1], None),
        ("prompt_tokens", None),
    ],
)
def test_what_is_a_usage(usage: object, expected: Usage | None) -> None:
    assert scan(json.dumps({"id": "x", "usage": usage, "model": "m"}).encode()) == expected
    assert scan(json.dumps({"usage": usage}, indent=1).encode()) == expected


def test_streamed_with_a_last_chunk() -> None:
    chunk: dict[str, Any] = {"choices": [{"text": "hi"}], "usage": None}
    last = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}
    assert scan(events(chunk, chunk, last)) == Usage(5, 7)


def test_streamed_with_every_chunk_counts_once() -> None:
    answer = events(*({"usage": {"prompt_tokens": 5, "completion_tokens": n}} for n in range(8)))
    assert scan(answer) == Usage(5, 7)


def test_responses_completed() -> None:
    usage = {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2}, "output_tokens": 7}
    assert scan(events({"type": "response.completed", "response": {"usage": usage}})) == Usage(5, 7, 2)


def test_anthropic_start_and_end_are_joined() -> None:
    start = {"message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}}}
    assert scan(events(start, {"type": "message_delta", "usage": {"output_tokens": 7}})) == Usage(5, 7, 3)


def test_a_broken_one_does_not_undo_the_one_before() -> None:
    first = b'{"usage":{"prompt_tokens":5,"completion_tokens":7}}'
    assert scan(first, b'{"usage":{"prompt_tokens":}}', b'{"usage":{"prompt_tokens":"x"}}') == Usage(5, 7)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not json",
        b'{"text":"\\"usage\\":{\\"prompt_tokens\\":5}"}',
        b'{"a\\"usage":{"prompt_tokens":5}}',
        b'{"usages":{"prompt_tokens":5}}',
        b'{"usage":{"prompt_tokens":5',
        b'{"usage":' + b'{"a":' * 700,
        b'{"usage":' + b'{"a":' * 500 + b"1" + b"}" * 501,
        b'{"usage":{"prompt_tokens":5,"x":"\xff"}}',
    ],
)
def test_what_is_none(answer: bytes) -> None:
    assert scan(answer) is None


def test_an_object_too_long_is_passed_over() -> None:
    pad = "x" * MAX_OBJECT_BYTES
    long = events({"usage": {"prompt_tokens": 1, "pad": pad}})
    assert scan(long) is None
    assert scan(long, events({"usage": {"prompt_tokens": 5}})) == Usage(5, 0)


def test_the_longest_object() -> None:
    usage: dict[str, Any] = {"prompt_tokens": 5, "pad": ""}
    usage["pad"] = "x" * (MAX_OBJECT_BYTES - len(json.dumps(usage)))
    assert scan(events({"usage": usage})) == Usage(5, 0)
    usage["pad"] += "x"
    assert scan(events({"usage": usage})) is None


def test_objects_in_objects() -> None:
    assert scan(b'{"usage":{"a":{"b":{"c":{}}},"prompt_tokens":5}}') == Usage(5, 0)
    too_deep = b'{"usage":{"a":{"b":{"c":{"d":{}}}},"prompt_tokens":5}}'
    assert scan(too_deep) is None
    assert scan(too_deep, b" " * MAX_OBJECT_BYTES, b'{"usage":{"prompt_tokens":6}}') == Usage(6, 0)


fragments = st.lists(
    st.sampled_from(
        [
            b'"usage"',
            b'"usage":{',
            b'"usage": {"prompt_tokens":3,"completion_tokens":',
            b'"prompt_tokens":5',
            b'"completion_tokens":7',
            b'"x":"\\"}"',
            b",",
            b"}",
            b"{",
            b'"',
            b"\\",
            b" ",
            b"1",
        ]
    ),
    max_size=12,
).map(b"".join)


@given(fragments | st.binary(max_size=40), st.lists(st.integers(0, 120)))
def test_any_chunking_finds_the_same(answer: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    whole = scan(answer)
    assert scan(*(answer[start:end] for start, end in pairwise(edges))) == whole
    assert scan(*(answer[i : i + 1] for i in range(len(answer)))) == whole


def test_a_long_answer_cut_anywhere() -> None:
    answer = events(
        {"choices": [{"text": 'say "usage": {"'}]}, {"usage": {"prompt_tokens": 5, "completion_tokens": 7}}
    )
    for cut in range(len(answer)):
        assert scan(answer[:cut], answer[cut:]) == Usage(5, 7)
