"""The shapes of request bodies: which path speaks which API, which fields it needs, and what is prefilled.

Field names and shapes are OpenAI's and Anthropic's as vLLM serves them. Where the reference refuses a shape
its words are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from msgspec import Raw

from epp.types import Api

ABSENT = Raw()  # what `Fields` has for a field that is not there

# Paths whose shape is remembered. A gateway sends a handful; the limit holds what clients make up to 2 MB.
_KEPT_PATHS = 256
_EMPTY_LIST = re.compile(rb"\[[ \t\r\n]*\]")


class Fields(msgspec.Struct, gc=False):
    """The top-level fields that are read, of every API, undecoded; empty where a field is absent."""

    model: Raw = ABSENT
    stream: Raw = ABSENT
    max_completion_tokens: Raw = ABSENT
    max_tokens: Raw = ABSENT
    max_output_tokens: Raw = ABSENT
    cache_salt: Raw = ABSENT
    prompt: Raw = ABSENT
    messages: Raw = ABSENT
    tools: Raw = ABSENT
    system: Raw = ABSENT
    instructions: Raw = ABSENT
    input: Raw = ABSENT
    query: Raw = ABSENT
    queries: Raw = ABSENT
    documents: Raw = ABSENT
    text_1: Raw = ABSENT
    text_2: Raw = ABSENT
    token_ids: Raw = ABSENT


def is_literal(value: Raw, literal: bytes) -> bool:
    """Whether the value is this JSON literal."""
    view = memoryview(value)
    return len(view) == len(literal) and bytes(view) == literal


def is_given(value: Raw) -> bool:
    """Whether the field is there and not null."""
    return value is not ABSENT and not is_literal(value, b"null")


def _is_list(value: Raw) -> bool:
    return _begins(value, "[") and not _EMPTY_LIST.match(memoryview(value))


def _is_text(value: Raw) -> bool:
    return _begins(value, '"') and not is_literal(value, b'""')


def _begins(value: Raw, first: str) -> bool:
    return value is not ABSENT and memoryview(value)[0] == ord(first)


def _is_pair(fields: Fields) -> bool:
    return (is_given(fields.text_1) and is_given(fields.text_2)) or (
        (is_given(fields.queries) or is_given(fields.query)) and is_given(fields.documents)
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """What a body of `api` has to be. `fault` is what is said of one that is not `valid`."""

    api: Api
    prompt: tuple[str, ...]  # the fields that are prefilled, in the engine's order
    valid: Callable[[Fields], bool]
    fault: str


# By the path's suffix; where one ends another the longer one comes first.
_BY_SUFFIX = {
    "/chat/completions": Shape(
        Api.CHAT,
        ("tools", "messages"),
        lambda fields: _is_list(fields.messages),
        "invalid chat completions request: must have valid messages field",
    ),
    "/completions": Shape(
        Api.COMPLETIONS,
        ("prompt",),
        lambda fields: _is_text(fields.prompt) or _is_list(fields.prompt),
        "invalid completions request: must have prompt field",
    ),
    "/responses": Shape(
        Api.RESPONSES,
        ("instructions", "tools", "input"),
        lambda fields: is_given(fields.input),
        "invalid responses request: must have input field",
    ),
    "/messages": Shape(
        Api.MESSAGES,
        ("system", "tools", "messages"),
        lambda fields: _is_list(fields.messages),
        "invalid messages request: must have valid messages field",
    ),
    "/embeddings": Shape(
        Api.EMBEDDINGS,
        ("input", "messages"),  # vLLM embeds a chat, too
        lambda fields: is_given(fields.input) or _is_list(fields.messages),
        "invalid embeddings request: must have input field",
    ),
    "/score": Shape(
        Api.SCORE,
        ("text_1", "query", "queries", "text_2", "documents"),
        _is_pair,
        "invalid score request: must have text_1 and text_2 fields, or queries and documents fields",
    ),
    "/rerank": Shape(
        Api.RERANK,
        ("query", "documents"),
        lambda fields: is_given(fields.query) and is_given(fields.documents),
        "invalid rerank request: must have query and documents fields",
    ),
    "/inference/v1/generate": Shape(
        Api.GENERATE,
        ("token_ids",),
        lambda fields: _is_list(fields.token_ids),
        "invalid generate request: must have token_ids field",
    ),
}

_OTHER = Shape(Api.OTHER, ("prompt", "tools", "messages", "input"), lambda fields: True, "")


@lru_cache(maxsize=_KEPT_PATHS)
def shape_of(path: str) -> Shape:
    """The shape of bodies sent to `path`; without a path completions are meant, as in the reference."""
    bare = path.partition("?")[0].rstrip("/") if path else "/completions"
    for suffix, shape in _BY_SUFFIX.items():
        if bare.endswith(suffix):
            return shape
    return _OTHER
