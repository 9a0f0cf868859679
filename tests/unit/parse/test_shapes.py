"""Which path means which API, and what each API's bodies have to be."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from epp.parse.shapes import Fields, is_given, is_literal, shape_of
from epp.types import Api


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/completions", Api.COMPLETIONS),
        ("/v1/chat/completions", Api.CHAT),
        ("/v1/responses", Api.RESPONSES),
        ("/v1/messages", Api.MESSAGES),
        ("/v1/embeddings", Api.EMBEDDINGS),
        ("/v1/score", Api.SCORE),
        ("/v2/rerank", Api.RERANK),
        ("/inference/v1/generate", Api.GENERATE),
        ("/generate", Api.OTHER),
        ("/score", Api.SCORE),
        ("/v1/completions?x=/chat/completions", Api.COMPLETIONS),
        ("/v1/chat/completions?x=1&y=/v1/completions/", Api.CHAT),
        ("/v1/completions/", Api.COMPLETIONS),
        ("/v1/chat/completions//?", Api.CHAT),
        ("/v1/projects/p/endpoints/e/completions?alt=sse", Api.COMPLETIONS),
        ("", Api.COMPLETIONS),
        ("/", Api.OTHER),
        ("?", Api.OTHER),
        ("/v1/messages/count_tokens", Api.OTHER),
        ("/v1/mycompletions", Api.OTHER),
        ("/v1/Completions", Api.OTHER),
        ("/primary-gateway-test", Api.OTHER),
    ],
)
def test_the_path_tells_the_api(path: str, api: Api) -> None:
    assert shape_of(path).api is api


@pytest.mark.parametrize(
    ("path", "body", "valid"),
    [
        ("/completions", b'{"prompt": " "}', True),
        ("/completions", b'{"prompt": ""}', False),
        ("/completions", b'{"prompt": [""]}', True),
        ("/chat/completions", b'{"messages": [1]}', True),
        ("/chat/completions", b'{"messages": [ ]}', False),
        ("/responses", b'{"input": ""}', True),
        ("/messages", b'{"messages": null}', False),
        ("/embeddings", b'{"messages": [1]}', True),
        ("/score", b'{"text_1": "a", "documents": ["b"]}', False),
        ("/score", b'{"queries": ["a"], "documents": ["b"]}', True),
        ("/rerank", b'{"queries": ["a"], "documents": ["b"]}', False),
        ("/elsewhere", b"{}", True),
    ],
)
def test_what_a_body_has_to_be(path: str, body: bytes, valid: bool) -> None:
    assert shape_of(path).valid(msgspec.json.decode(body, type=Fields)) is valid


def test_absent_null_and_given() -> None:
    fields = msgspec.json.decode(b'{"prompt": null, "input": 0, "system": ""}', type=Fields)
    assert not is_given(fields.messages)
    assert not is_given(fields.prompt)
    assert is_given(fields.input)
    assert is_given(fields.system)


def test_literals() -> None:
    assert is_literal(Raw(b"true"), b"true")
    assert not is_literal(Raw(b'"true"'), b"true")
    assert not is_literal(Raw(), b"true")
