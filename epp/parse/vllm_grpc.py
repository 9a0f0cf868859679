"""Requests and answers of vLLM's gRPC service (vllm.grpc.engine.VllmEngine), as far as a picker wants them.

    GenerateRequest  request_id 1, one of (tokenized 2, text 3), sampling_params 4, stream 5
    EmbedRequest     request_id 1, tokenized 2
    TokenizedInput   original_text 1, input_ids 2
    GenerateResponse one of (chunk 1, complete 2)
      chunk            token_ids 1, prompt_tokens 2, completion_tokens 3, cached_tokens 4
      complete         output_ids 1, finish_reason 2, prompt_tokens 3, completion_tokens 4, cached_tokens 5
    EmbedResponse    embedding 1, prompt_tokens 2, embedding_dim 3

They name no model, so there is none to rewrite. The limit on output tokens is not read: where it stands in
sampling_params differs between versions of vLLM.
"""

from __future__ import annotations

import numpy as np

from epp.errors import BadRequestError
from epp.parse.grpc_frames import FrameReader, first_message
from epp.parse.protobuf import read_message
from epp.parse.tokens import estimate_tokens
from epp.types import Api, ParsedBody, Prompt, Usage

_APIS = {
    "/vllm.grpc.engine.VllmEngine/Generate": Api.COMPLETIONS,
    "/vllm.grpc.engine.VllmEngine/Embed": Api.EMBEDDINGS,
}

_TOKENIZED, _TEXT, _STREAM = 2, 3, 5
_ORIGINAL_TEXT, _INPUT_IDS = 1, 2


def parse_vllm_grpc(path: str, body: bytes, *, complete: bool = True) -> ParsedBody:
    """What the call's message asks for.

    Not `complete`: `body` is its first part, and the prompt is what has come of it. Raises BadRequestError
    (`bad_path`, `bad_message`) with the reference's words.
    """
    method = next((method for method in _APIS if path.endswith(method)), None)
    if method is None:
        raise BadRequestError("unsupported gRPC path", reason="bad_path")
    stream, prompt = False, Prompt()
    try:
        for number, value in read_message(first_message(body, complete=complete), complete=complete):
            if number == _STREAM and isinstance(value, int):
                stream = bool(value)
            elif number == _TOKENIZED and isinstance(value, memoryview):
                prompt = _tokenized(value, complete)
            elif number == _TEXT and isinstance(value, memoryview):
                prompt = _prompt([value], estimate_tokens(len(value)))
    except ValueError:
        name = method.rpartition("/")[2]
        message = f"parsing gRPC payload for {name}: not able to parse payload"
        raise BadRequestError(message, reason="bad_message") from None
    return ParsedBody(_APIS[method], stream=stream, prompt=prompt)


def _tokenized(message: memoryview, complete: bool) -> Prompt:
    ids: list[memoryview] = []
    text = memoryview(b"")
    for number, value in read_message(message, complete=complete):
        if number == _INPUT_IDS:
            ids.append(_varint(value) if isinstance(value, int) else value)
        elif number == _ORIGINAL_TEXT and isinstance(value, memoryview):
            text = value
    if not any(ids):
        return _prompt([text], estimate_tokens(len(text)))
    prompt = _prompt(ids, 0)
    # The last byte of each number, and no other, is less than 128.
    count = int(np.count_nonzero(np.frombuffer(prompt.parts[0], np.uint8) < 0x80))
    return Prompt(prompt.parts, count)


def _prompt(parts: list[memoryview], tokens: int) -> Prompt:
    whole = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
    return Prompt((whole,) if whole else (), tokens)


def _varint(value: int) -> memoryview:
    """A number as a packed list has it: equal prompts have equal bytes, packed or not."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return memoryview(bytes(encoded))


class VllmGrpcUsage:
    """Reads the token counts of one answer while it passes; the last ones count."""

    def __init__(self) -> None:
        self._frames = FrameReader()
        self.usage: Usage | None = None

    def __repr__(self) -> str:
        return f"<VllmGrpcUsage {self.usage}>"

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the answer."""
        for message in self._frames.feed(data):
            try:
                self._read(dict(read_message(memoryview(message))))
            except ValueError:
                continue  # an answer is none of our business beyond its counts

    def _read(self, fields: dict[int, int | memoryview]) -> None:
        chunk, complete = fields.get(1), fields.get(2)
        if isinstance(complete, int):  # an EmbedResponse
            self.usage = Usage(complete)
        elif complete is not None:
            self._count(complete, 3)
        elif isinstance(chunk, memoryview):
            self._count(chunk, 2)

    def _count(self, message: memoryview, first: int) -> None:
        """`first`: the number of prompt_tokens; the two others follow it."""
        fields = dict(read_message(message))
        prompt, completion, cached = (fields.get(number, 0) for number in range(first, first + 3))
        if isinstance(prompt, int) and isinstance(completion, int) and isinstance(cached, int):
            self.usage = Usage(prompt, completion, cached)
