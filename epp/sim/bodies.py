"""What a client asks of a simulated server: OpenAI request bodies, as far as they matter here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from epp.sim import tokens
from epp.sim.refusals import BodyError

# vLLM's default where a completion does not say; its chat default, all that is left of the context, would
# make every forgotten limit a request of 100,000 tokens.
DEFAULT_OUTPUT_TOKENS = 16

# Answers that one request may ask for; the limit of the OpenAI API for `n`.
MAX_CHOICES = 128


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: each of `prompts` (packed tokens) is answered `n` times with `output_tokens` tokens."""

    model: str  # "" if the body names none
    prompts: tuple[bytes, ...]
    output_tokens: int
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    continuous_usage: bool = False


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False
    continuous_usage_stats: bool = False


class _Body(msgspec.Struct, kw_only=True):
    model: str | None = None
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    n: int | None = 1


_TextOrIds = str | list[str | int | list[int]]


class _Completion(_Body, kw_only=True):
    prompt: _TextOrIds
    max_tokens: int | None = None


class _Message(msgspec.Struct):
    role: str = "user"
    content: str | list[dict[str, Any]] | None = None


class _Chat(_Body, kw_only=True):
    messages: list[_Message]
    tools: list[Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


class _Responses(_Body, kw_only=True):
    input: str | list[_Message]
    instructions: str | None = None
    max_output_tokens: int | None = None


class _Embedding(_Body, kw_only=True):
    input: _TextOrIds


class _LoadAdapter(msgspec.Struct):
    lora_name: str
    lora_path: str


class _UnloadAdapter(msgspec.Struct):
    lora_name: str


T = TypeVar("T")


def decode(data: bytes, kind: type[T]) -> T:
    """The JSON body in `data` as a `kind`; BodyError says where it is wrong."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyError(str(error)) from error


def completion(data: bytes) -> Ask:
    """POST /v1/completions: text, a list of texts, token ids or a list of token id lists."""
    body = decode(data, _Completion)
    return _ask(body, _prompts(body.prompt), body.max_tokens)


def chat(data: bytes) -> Ask:
    """POST /v1/chat/completions; parts that are not text count with their JSON."""
    body = decode(data, _Chat)
    if not body.messages:
        raise BodyError("`messages` is empty")
    turns = [(message.role, _text(message.content)) for message in body.messages]
    if body.tools:
        turns.insert(0, ("tools", msgspec.json.encode(body.tools).decode()))
    limit = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    return _ask(body, [tokens.encode_chat(turns)], limit)


def responses(data: bytes) -> Ask:
    """POST /v1/responses."""
    body = decode(data, _Responses)
    turns = [("system", body.instructions)] if body.instructions else []
    if isinstance(body.input, str):
        turns.append(("user", body.input))
    else:
        turns += [(message.role, _text(message.content)) for message in body.input]
    return _ask(body, [tokens.encode_chat(turns)], body.max_output_tokens)


def embedding(data: bytes) -> Ask:
    """POST /v1/embeddings: a prefill, and nothing after it."""
    body = decode(data, _Embedding)
    return _ask(body, _prompts(body.input), 1)


def load_adapter(data: bytes) -> tuple[str, str]:
    """POST /v1/load_lora_adapter: name and path."""
    body = decode(data, _LoadAdapter)
    if not body.lora_name or not body.lora_path:
        raise BodyError("Both 'lora_name' and 'lora_path' must be provided.")
    return body.lora_name, body.lora_path


def unload_adapter(data: bytes) -> str:
    """POST /v1/unload_lora_adapter: the name."""
    return decode(data, _UnloadAdapter).lora_name


def _ask(body: _Body, prompts: list[bytes], limit: int | None) -> Ask:
    output_tokens = DEFAULT_OUTPUT_TOKENS if limit is None else limit
    if output_tokens < 1:
        raise BodyError(f"max_tokens must be at least 1, got {output_tokens}.")
    n = 1 if body.n is None else body.n
    if not 1 <= n * len(prompts) <= MAX_CHOICES:
        raise BodyError(f"between 1 and {MAX_CHOICES} answers can be asked for, not {n * len(prompts)}")
    if not all(prompts):
        raise BodyError("the prompt is empty")
    options = body.stream_options or _StreamOptions()
    return Ask(
        model=body.model or "",
        prompts=tuple(prompts),
        output_tokens=output_tokens,
        n=n,
        stream=bool(body.stream),
        include_usage=options.include_usage,
        continuous_usage=options.continuous_usage_stats,
    )


def _prompts(value: str | list[Any]) -> list[bytes]:
    if isinstance(value, str):
        return [tokens.encode(value)]
    if value and all(isinstance(item, int) for item in value):
        return [_pack(value)]
    if any(isinstance(item, int) for item in value):
        raise BodyError("a prompt is text, a list of texts, token ids or a list of token id lists")
    return [tokens.encode(item) if isinstance(item, str) else _pack(item) for item in value]


def _pack(ids: list[int]) -> bytes:
    try:
        return tokens.pack(ids)
    except ValueError as error:
        raise BodyError(str(error)) from error


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    parts = (part.get("text") for part in content)
    return "".join(
        text if isinstance(text, str) else msgspec.json.encode(part).decode()
        for text, part in zip(parts, content, strict=True)
    )
