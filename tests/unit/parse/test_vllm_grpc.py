"""vLLM's gRPC requests and answers, written out by hand as they stand on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.errors import BadRequestError
from epp.parse.vllm_grpc import VllmGrpcUsage, parse_vllm_grpc
from epp.types import Api, ParsedBody, Usage

GENERATE = "/vllm.grpc.engine.VllmEngine/Generate"
EMBED = "/vllm.grpc.engine.VllmEngine/Embed"


def varint(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low]) if value < 0x80 else bytes([low | 0x80]) + varint(value >> 7)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def data(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def ids(*tokens: int) -> bytes:
    return b"".join(map(varint, tokens))


def frame(*fields: bytes) -> bytes:
    message = b"".join(fields)
    return b"\x00" + len(message).to_bytes(4) + message


def prompt(body: ParsedBody) -> bytes:
    return b"".join(body.prompt.parts)


def test_text() -> None:
    body = parse_vllm_grpc(GENERATE, frame(data(1, b"id"), data(3, b"Hello there"), data(4, b"\x38\x10")))
    assert (body.api, body.model, body.stream, body.max_tokens) == (Api.COMPLETIONS, "", False, None)
    assert prompt(body) == b"Hello there"
    assert body.prompt.tokens == 3  # 11 bytes


def test_token_ids_are_counted() -> None:
    tokenized = data(1, b"Hello") + data(2, ids(1, 127, 128, 32_000, 150_000))
    body = parse_vllm_grpc(GENERATE, frame(data(2, tokenized), number(5, 1)))
    assert prompt(body) == ids(1, 127, 128, 32_000, 150_000)
    assert body.prompt.tokens == 5
    assert body.stream


def test_token_ids_that_are_not_packed_are_the_same_prompt() -> None:
    packed = parse_vllm_grpc(EMBED, frame(data(2, data(2, ids(1, 300, 7)))))
    single = parse_vllm_grpc(EMBED, frame(data(2, number(2, 1) + number(2, 300) + number(2, 7))))
    pieces = parse_vllm_grpc(EMBED, frame(data(2, data(2, ids(1, 300)) + data(2, ids(7)))))
    assert packed.api is Api.EMBEDDINGS
    assert packed.prompt == single.prompt == pieces.prompt
    assert packed.prompt.tokens == 3


def test_without_ids_the_text_they_were_made_of_counts() -> None:
    body = parse_vllm_grpc(GENERATE, frame(data(2, data(1, b"Hello there"))))
    assert prompt(body) == b"Hello there"
    assert body.prompt.tokens == 3


@pytest.mark.parametrize("message", [b"", data(1, b"id"), data(2, b""), data(3, b"")])
def test_no_prompt(message: bytes) -> None:
    body = parse_vllm_grpc(GENERATE, frame(message))
    assert (body.prompt.parts, body.prompt.tokens) == ((), 0)


def test_a_path_before_the_service() -> None:
    assert parse_vllm_grpc("/prefix" + GENERATE, frame()).api is Api.COMPLETIONS


@pytest.mark.parametrize("path", ["/vllm.grpc.engine.VllmEngine/Abort", "/v1/completions", ""])
def test_other_methods(path: str) -> None:
    with pytest.raises(BadRequestError, match="unsupported gRPC path") as caught:
        parse_vllm_grpc(path, frame())
    assert caught.value.reason == "bad_path"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01" + frame()[1:],
        frame(data(3, b"Hello"))[:-1],
        frame(b"\x1b"),
        frame(data(2, b"\x12\x09\x01")),
        b'{"model": "base"}',
    ],
)
def test_bodies_that_are_no_call(body: bytes) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_vllm_grpc(EMBED, body)
    assert caught.value.message == "parsing gRPC payload for Embed: not able to parse payload"
    assert caught.value.reason == "bad_message"


def test_the_first_part_of_a_call() -> None:
    text = frame(data(3, b"Hello there"))
    assert prompt(parse_vllm_grpc(GENERATE, text[:12], complete=False)) == b"Hello"
    tokens = frame(data(2, data(2, ids(1, 300, 7, 9))))
    cut = parse_vllm_grpc(GENERATE, tokens[:-2], complete=False)
    assert prompt(cut) == ids(1, 300)
    assert cut.prompt.tokens == 2


@given(st.binary(max_size=60), st.booleans())
def test_nothing_but_bad_requests(body: bytes, complete: bool) -> None:
    try:
        parse_vllm_grpc(GENERATE, frame(body), complete=complete)
    except BadRequestError:
        return


# Answers -------------------------------------------------------------------------------------------------

CHUNK = data(1, data(1, ids(5, 6)) + number(2, 100) + number(3, 2) + number(4, 64))
COMPLETE = data(2, data(1, ids(5, 6, 7)) + data(2, b"stop") + number(3, 100) + number(4, 3) + number(5, 64))


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        (frame(CHUNK), Usage(100, 2, 64)),
        (frame(CHUNK) + frame(COMPLETE), Usage(100, 3, 64)),
        (frame(COMPLETE), Usage(100, 3, 64)),
        (frame(data(1, b"\x00\x00\x80\x3f" * 8), number(2, 12), number(3, 8)), Usage(12)),  # an embedding
        (b"", None),
        (frame(), None),
        (frame(b"\x0b"), None),
        (frame(data(1, data(2, b"no count"))), None),
        (b"\x01" + frame(CHUNK)[1:], None),  # compressed
    ],
)
def test_usage(answer: bytes, usage: Usage | None) -> None:
    whole, in_bytes = VllmGrpcUsage(), VllmGrpcUsage()
    whole.feed(answer)
    for at in range(len(answer)):
        in_bytes.feed(answer[at : at + 1])
    assert whole.usage == usage
    assert in_bytes.usage == usage
