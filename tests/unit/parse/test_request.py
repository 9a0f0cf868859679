"""Request bodies: what is found, what is refused and with which words, and that nothing else ever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.errors import BadRequestError, UnknownPathError
from epp.parse.request import model_span, parse_body
from epp.types import Api, ParsedBody

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"


def parse(path: str, fields: object, **flags: bool) -> ParsedBody:
    return parse_body(path, json.dumps(fields).encode(), **flags)


def prompt_of(parsed: ParsedBody) -> list[str]:
    return [bytes(part).decode() for part in parsed.prompt.parts]


USER = [{"role": "user", "content": "Hello there"}]
TOOLS = [{"type": "function", "function": {"name": "now"}}]


@pytest.mark.parametrize(
    ("path", "fields", "api", "prompt"),
    [
        ("/v1/completions", {"prompt": "Hello"}, Api.COMPLETIONS, ["Hello"]),
        ("/v1/completions", {"prompt": ["a", "b"]}, Api.COMPLETIONS, ['["a", "b"]']),
        ("/v1/completions", {"prompt": [1, 2]}, Api.COMPLETIONS, ["[1, 2]"]),
        ("/v1/completions", {"prompt": [[1], [2]]}, Api.COMPLETIONS, ["[[1], [2]]"]),
        ("/v1/chat/completions", {"messages": USER}, Api.CHAT, [json.dumps(USER)]),
        (
            "/v1/chat/completions",
            {"messages": USER, "tools": TOOLS},
            Api.CHAT,
            [json.dumps(TOOLS), json.dumps(USER)],
        ),
        ("/v1/chat/completions", {"messages": USER, "tools": None}, Api.CHAT, [json.dumps(USER)]),
        ("/v1/responses", {"input": "Hi"}, Api.RESPONSES, ["Hi"]),
        (
            "/v1/responses",
            {"input": USER, "instructions": "Be brief", "tools": TOOLS},
            Api.RESPONSES,
            ["Be brief", json.dumps(TOOLS), json.dumps(USER)],
        ),
        ("/v1/messages", {"messages": USER, "system": ""}, Api.MESSAGES, [json.dumps(USER)]),
        (
            "/v1/messages",
            {"messages": USER, "tools": TOOLS, "system": [{"type": "text", "text": "x"}]},
            Api.MESSAGES,
            ['[{"type": "text", "text": "x"}]', json.dumps(TOOLS), json.dumps(USER)],
        ),
        ("/v1/embeddings", {"input": "Hi"}, Api.EMBEDDINGS, ["Hi"]),
        ("/v1/embeddings", {"input": ""}, Api.EMBEDDINGS, []),
        ("/v1/embeddings", {"messages": USER}, Api.EMBEDDINGS, [json.dumps(USER)]),
        ("/v1/score", {"text_1": "a", "text_2": ["b", "c"]}, Api.SCORE, ["a", '["b", "c"]']),
        ("/score", {"queries": "a", "documents": ["b"]}, Api.SCORE, ["a", '["b"]']),
        ("/v1/rerank", {"query": "a", "documents": ["b"]}, Api.RERANK, ["a", '["b"]']),
        ("/inference/v1/generate", {"token_ids": [5, 6]}, Api.GENERATE, ["[5, 6]"]),
        ("/anything", {"prompt": "Hello"}, Api.OTHER, ["Hello"]),
        ("/anything", {}, Api.OTHER, []),
        ("/generate", {"input": [1]}, Api.OTHER, ["[1]"]),
        ("/tokenize", {"messages": USER}, Api.OTHER, [json.dumps(USER)]),
    ],
)
def test_finds_the_prompt(path: str, fields: dict[str, Any], api: Api, prompt: list[str]) -> None:
    parsed = parse(path, {"model": "m", **fields})
    assert parsed.api is api
    assert prompt_of(parsed) == prompt


def test_strict_paths() -> None:
    fields = {"model": "m", "prompt": "x"}
    assert parse(COMPLETIONS, fields, strict_paths=True).api is Api.COMPLETIONS
    with pytest.raises(UnknownPathError) as refused:
        parse("/elsewhere", fields, strict_paths=True)
    assert (refused.value.status, refused.value.reason) == (404, "unknown_path")


def test_the_prompt_is_a_view_of_the_body() -> None:
    body = json.dumps({"model": "m", "prompt": "x" * 1000}).encode()
    (part,) = parse_body(COMPLETIONS, body).prompt.parts
    del body
    assert isinstance(part, memoryview)
    assert part.readonly
    assert bytes(part) == b"x" * 1000


# What is said of a bad body ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fields", "reason", "message"),
    [
        (COMPLETIONS, {}, "bad_shape", "invalid completions request: must have prompt field"),
        (COMPLETIONS, {"hello": "world"}, "bad_shape", "invalid completions request: must have prompt field"),
        (COMPLETIONS, {"prompt": ""}, "bad_shape", "invalid completions request: must have prompt field"),
        (COMPLETIONS, {"prompt": []}, "bad_shape", "invalid completions request: must have prompt field"),
        (COMPLETIONS, {"prompt": 7}, "bad_shape", "invalid completions request: must have prompt field"),
        (COMPLETIONS, {"prompt": {}}, "bad_shape", "invalid completions request: must have prompt field"),
        (COMPLETIONS, {"prompt": None}, "bad_shape", "invalid completions request: must have prompt field"),
        (
            CHAT,
            {"prompt": "x"},
            "bad_shape",
            "invalid chat completions request: must have valid messages field",
        ),
        (
            CHAT,
            {"messages": []},
            "bad_shape",
            "invalid chat completions request: must have valid messages field",
        ),
        (
            CHAT,
            {"messages": "x"},
            "bad_shape",
            "invalid chat completions request: must have valid messages field",
        ),
        ("/responses", {"input": None}, "bad_shape", "invalid responses request: must have input field"),
        (
            "/messages",
            {"messages": {}},
            "bad_shape",
            "invalid messages request: must have valid messages field",
        ),
        ("/embeddings", {}, "bad_shape", "invalid embeddings request: must have input field"),
        (
            "/score",
            {"text_1": "a"},
            "bad_shape",
            "invalid score request: must have text_1 and text_2 fields, or queries and documents fields",
        ),
        (
            "/rerank",
            {"query": "a"},
            "bad_shape",
            "invalid rerank request: must have query and documents fields",
        ),
        (
            "/inference/v1/generate",
            {"token_ids": []},
            "bad_shape",
            "invalid generate request: must have token_ids field",
        ),
        (COMPLETIONS, {"prompt": "hello world"}, "no_model", "model not found in request body"),
        (COMPLETIONS, {"prompt": "x", "model": ""}, "no_model", "model not found in request body"),
        (COMPLETIONS, {"prompt": "x", "model": 5}, "no_model", "model not found in request body"),
        (COMPLETIONS, {"prompt": "x", "model": None}, "no_model", "model not found in request body"),
        (COMPLETIONS, {"prompt": "x", "model": ["m"]}, "no_model", "model not found in request body"),
        ("/anything", {}, "no_model", "model not found in request body"),
    ],
)
def test_wrong_shape_or_no_model(path: str, fields: dict[str, Any], reason: str, message: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        parse(path, fields)
    assert (refused.value.status, refused.value.reason, refused.value.message) == (400, reason, message)


def test_an_empty_list_with_spaces_is_empty() -> None:
    with pytest.raises(BadRequestError, match="valid messages"):
        parse_body(CHAT, b'{"model": "m", "messages": [ \n\t ]}')


SECRET = b"sesame"
DEEP = 100_000


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "Input data was truncated"),
        (b"sesame", "invalid character (byte 0)"),
        (b'"sesame"', "Expected `object`, got `str`"),
        (b'["sesame"]', "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b"5", "Expected `object`, got `int`"),
        (b'{"prompt": "sesame', "Input data was truncated"),
        (b'{"prompt": "sesame"} sesame', "trailing characters"),
        (b'\xef\xbb\xbf{"prompt": "sesame"}', "invalid character (byte 0)"),
        ('{"prompt": "sesame"}'.encode("utf-16"), "invalid character (byte 0)"),
        (b'{"sesame": NaN}', "invalid character (byte 11)"),
        (b'{"sesame": -Infinity}', "invalid character"),
        (b'{"sesame": 01}', "invalid number"),
        (b'{"prompt": "sesame\\x"}', "invalid escaped character"),
        (b'{"prompt": "sesame\n"}', "invalid character"),
        (b'{"prompt": "sesame \\ud800 half a pair"}', "unexpected end of hex escape"),
        (b"{'prompt': 'sesame'}", "object keys must be strings"),
        (b'{"prompt": "sesame",}', "trailing comma in object"),
        (b'{"sesame": ' + b"[" * DEEP + b"]" * DEEP + b"}", "nested too deeply"),
        (b'{"messages": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", "nested too deeply"),
        (b'{"prompt": "x", "model": "sesame\xff"}', "not UTF-8"),
    ],
)
def test_what_is_no_json(body: bytes, fault: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        parse_body(COMPLETIONS, body)
    assert refused.value.reason == "bad_json"
    assert refused.value.message.startswith("error unmarshaling request body: ")
    assert fault in refused.value.message
    assert SECRET.decode() not in refused.value.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "m", "prompt": "bad \xff bytes \xed\xa0\x80"}',
        b'{"model": "m", "prompt": "x", "seed": 123456789012345678901234567890}',
        b'{"model": "m", "prompt": "x", "temperature": 1e999}',
        b'{"model": "m", "prompt": "x", "temperature": -0.0e-999}',
        b'{"model": "m", "prompt": "\\ud83d\\ude00"}',
        b'{"model": "m", "prompt": "x", "\xff": 1}',
        b' \r\n\t{"model"\n:\t"m" , "prompt" : "x" } \n',
        b'{"\\u006dodel": "m", "prompt": "x"}',
        b'{"model": 5, "prompt": "x", "model": "m"}',
    ],
)
def test_what_is_json_still(body: bytes) -> None:
    assert parse_body(COMPLETIONS, body).model == "m"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
known_names = st.sampled_from(
    [
        "model",
        "prompt",
        "messages",
        "input",
        "tools",
        "stream",
        "max_tokens",
        "cache_salt",
        "query",
        "documents",
    ]
)
paths = st.sampled_from(
    ["", COMPLETIONS, CHAT, "/responses", "/messages", "/embeddings", "/score", "/rerank", "/x"]
)


def parse_or_reason(path: str, body: bytes, complete: bool) -> ParsedBody | str:
    try:
        return parse_body(path, body, complete=complete)
    except BadRequestError as error:
        return error.reason


REASONS = ("bad_json", "bad_shape", "no_model")


@given(paths, st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(path: str, body: bytes, complete: bool) -> None:
    parsed = parse_or_reason(path, body, complete)
    assert isinstance(parsed, ParsedBody) or parsed in REASONS


@given(paths, st.dictionaries(known_names, json_values), st.booleans(), st.data())
def test_any_json_is_read_or_refused(
    path: str, fields: dict[str, Any], ascii_only: bool, data: st.DataObject
) -> None:
    body = json.dumps(fields, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    complete = data.draw(st.booleans())
    if not complete:
        body = body[: data.draw(st.integers(0, len(body)))]
    parsed = parse_or_reason(path, body, complete)
    if isinstance(parsed, str):
        assert parsed in REASONS
    else:
        if parsed.model:
            start, end = model_span(body, complete=complete)
            assert parsed.model == json.loads(body[start:end])
        assert parsed.prompt.tokens >= 0
        assert all(bytes(part) in body for part in parsed.prompt.parts)


# The small fields ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "span"),
    [
        (b'{"model":"m","prompt":"x"}', b'"m"'),
        (b'{"prompt":"\\"model\\":\\"m\\"","model" : "m" }', b'"m"'),
        (b'{"tools":[{"model":"m"}],"prompt":"x","model":"m","z":"m"}', b'"m"'),
        (b'{"model":"a","prompt":"x","model":"m"}', b'"m"'),
        (b'{"model":"m","prompt":"x","model":"m"}', b'"m"'),
        (b'{"model":"\\u006d","prompt":"x"}', b'"\\u006d"'),
    ],
)
def test_the_model_and_where_it_stands(body: bytes, span: bytes) -> None:
    parsed = parse_body(COMPLETIONS, body)
    start, end = model_span(body)
    assert parsed.model == "m"
    assert body[start:end] == span
    assert json.loads(body[:start] + b'"other"' + body[end:])["model"] == "other"


@pytest.mark.parametrize(
    ("value", "stream"),
    [(True, True), (False, False), (None, False), (1, False), ("true", False), ([True], False)],
)
def test_only_true_streams(value: object, stream: bool) -> None:
    assert parse(COMPLETIONS, {"model": "m", "prompt": "x", "stream": value}).stream is stream


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"max_tokens": 7}, 7),
        ({"max_tokens": 0}, 0),
        ({"max_completion_tokens": 9, "max_tokens": 7}, 9),
        ({"max_completion_tokens": None, "max_tokens": 7}, 7),
        ({"max_output_tokens": 5}, 5),
        ({"max_tokens": 7.0}, None),
        ({"max_tokens": "7"}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": True}, None),
        ({"max_tokens": [1]}, None),
        ({"max_tokens": 10**10}, None),
        ({"max_tokens": 10**4000}, None),
    ],
)
def test_max_tokens(fields: dict[str, Any], expected: int | None) -> None:
    assert parse(COMPLETIONS, {"model": "m", "prompt": "x", **fields}).max_tokens == expected


@pytest.mark.parametrize(("value", "salt"), [("tenant-1", "tenant-1"), (None, ""), (5, ""), ("", "")])
def test_cache_salt(value: object, salt: str) -> None:
    assert parse(CHAT, {"model": "m", "messages": USER, "cache_salt": value}).prompt.salt == salt


@pytest.mark.parametrize(
    ("path", "fields", "tokens"),
    [
        (COMPLETIONS, {"prompt": "x" * 400}, 100),
        (COMPLETIONS, {"prompt": "[1, 2, 3, 4]"}, 3),
        (COMPLETIONS, {"prompt": list(range(50))}, 50),
        (COMPLETIONS, {"prompt": [[1, 2, 3], [4, 5]]}, 5),
        ("/v1/embeddings", {"input": [[7]] * 9}, 9),
        (CHAT, {"messages": [{"role": "user", "content": "x" * 366}]}, 100),
        ("/v1/rerank", {"query": "x" * 40, "documents": ["y" * 36]}, 20),
        ("/inference/v1/generate", {"token_ids": list(range(50))}, 50),
    ],
)
def test_tokens(path: str, fields: dict[str, Any], tokens: int) -> None:
    assert parse(path, {"model": "m", **fields}).prompt.tokens == tokens


def test_an_image_is_not_counted_by_its_bytes() -> None:
    def tokens(image: str) -> int:
        content = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": image}}]
        return parse(CHAT, {"model": "m", "messages": [{"role": "user", "content": content}]}).prompt.tokens

    assert tokens("data:image/png;base64," + "A" * 100_000) == tokens("data:image/png;base64," + "A" * 100)


# A body cut short (BUFFERED_PARTIAL) ---------------------------------------------------------------------


def test_the_first_part_of_a_body() -> None:
    body = json.dumps({"model": "m", "stream": True, "tools": TOOLS, "messages": USER}).encode()
    part = body[: body.index(b"there")]
    parsed = parse_body(CHAT, part, complete=False)
    start, end = model_span(part, complete=False)
    assert (parsed.model, part[start:end], parsed.stream) == ("m", b'"m"', True)
    assert prompt_of(parsed) == [json.dumps(TOOLS), '[{"role": "user", "content": "Hello ']


def test_a_part_without_the_model() -> None:
    parsed = parse_body(COMPLETIONS, b'{"prompt": "Hello th', complete=False)
    assert parsed.model == ""
    assert prompt_of(parsed) == ["Hello th"]
    assert parsed.prompt.tokens == 2
