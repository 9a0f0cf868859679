"""The parsers: what each reads of the same requests and answers."""

from __future__ import annotations

import pytest

from epp.errors import BadRequestError, UnknownPathError
from epp.plugin import Parser
from epp.plugins.parsers import OpenaiParser, PassthroughParser, VllmgrpcParser
from epp.types import Api, ParsedBody, Usage

COMPLETION = b'{"model": "base", "prompt": "hello", "stream": true}'
GENERATE = "/vllm.grpc.engine.VllmEngine/Generate"
# GenerateRequest{text: "hello", stream: true} in its frame.
CALL = b"\x00\x00\x00\x00\x09" + b"\x1a\x05hello" + b"\x28\x01"


@pytest.mark.parametrize("parser", [OpenaiParser(), PassthroughParser(), VllmgrpcParser()])
def test_they_are_parsers(parser: object) -> None:
    assert isinstance(parser, Parser)


def test_openai() -> None:
    body = OpenaiParser().parse("/v1/completions", COMPLETION)
    assert (body.api, body.model, body.stream) == (Api.COMPLETIONS, "base", True)
    assert [bytes(part) for part in body.prompt.parts] == [b"hello"]
    with pytest.raises(BadRequestError):
        OpenaiParser().parse("/v1/completions", CALL)
    with pytest.raises(UnknownPathError):
        OpenaiParser().parse("/other", COMPLETION, strict_paths=True)
    assert OpenaiParser().parse("/v1/completions", COMPLETION[:30], complete=False).model == "base"
    reader = OpenaiParser().usage_reader()
    reader.feed(b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}')
    assert reader.usage == Usage(3, 4)


@pytest.mark.parametrize("body", [COMPLETION, CALL, b"", b"\xff\xfe not JSON"])
def test_passthrough_reads_nothing(body: bytes) -> None:
    parsed = PassthroughParser().parse("/any/path", body, strict_paths=True)
    assert parsed == ParsedBody(Api.OTHER)
    assert (parsed.model, parsed.prompt.tokens, parsed.prompt.parts) == ("", 0, ())
    assert PassthroughParser().usage_reader() is None


def test_vllm_grpc() -> None:
    body = VllmgrpcParser().parse(GENERATE, CALL)
    assert (body.api, body.model, body.stream) == (Api.COMPLETIONS, "", True)
    assert [bytes(part) for part in body.prompt.parts] == [b"hello"]
    with pytest.raises(BadRequestError):
        VllmgrpcParser().parse("/v1/completions", COMPLETION)
    reader = VllmgrpcParser().usage_reader()
    reader.feed(b"\x00\x00\x00\x00\x06" + b"\x0a\x04\x10\x03\x18\x04")
    assert reader.usage == Usage(3, 4, 0)
