"""OpenAI-shaped answers: whole JSON bodies, and the server-sent events of streamed ones.

An `Answer` knows one API's shapes. Streamed, it is `opening` once for each choice, `token` for each token and
`closing` once; these are written by hand, since they are most of what a simulated server does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

# A made-up length: real embeddings have thousands, and nobody here looks at the numbers.
_EMBEDDING_LENGTH = 8

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The token counts of one request."""

    prompt: int
    completion: int
    cached: int

    def as_dict(self) -> dict[str, Any]:
        """As completions and chat report it."""
        return {
            "prompt_tokens": self.prompt,
            "total_tokens": self.prompt + self.completion,
            "completion_tokens": self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


class Answer(ABC):
    """One answer of one API; `model` as the client named it, `created` in unix seconds."""

    prefix: ClassVar[str]  # of the answer's id

    def __init__(self, request_id: str, model: str, created: int) -> None:
        self.id = f"{self.prefix}-{request_id}"
        self.model = model
        self.created = created

    @abstractmethod
    def whole(self, texts: Sequence[str], usage: TokenUsage) -> dict[str, Any]:
        """The body of an answer that is not streamed, with one text for each choice."""

    def opening(self, index: int) -> bytes:
        """Events before the first token of choice `index`."""
        return b""

    def token(self, index: int, word: str, last: bool, usage: TokenUsage | None) -> bytes:
        """The event of one token; `usage` None leaves it out."""
        raise NotImplementedError

    def closing(self, texts: Sequence[str], usage: TokenUsage, include_usage: bool) -> bytes:
        """Events after the last token."""
        raise NotImplementedError


class _ChunkedAnswer(Answer):
    """What completions and chat have in common when streamed."""

    kind: ClassVar[str]  # `object` of a chunk

    def __init__(self, request_id: str, model: str, created: int) -> None:
        super().__init__(request_id, model, created)
        head = {"id": self.id, "object": self.kind, "created": created, "model": model}
        self._head = f'data: {_json(head)[:-1]},"choices":['

    def closing(self, texts: Sequence[str], usage: TokenUsage, include_usage: bool) -> bytes:
        """The chunk without choices that carries the usage, if asked for, and the end mark."""
        return self._chunk("", usage) + DONE if include_usage else DONE

    def _chunk(self, choice: str, usage: TokenUsage | None) -> bytes:
        counts = f',"usage":{_json(usage.as_dict())}' if usage else ""
        return f"{self._head}{choice}]{counts}}}\n\n".encode()


class CompletionAnswer(_ChunkedAnswer):
    """POST /v1/completions."""

    prefix = "cmpl"
    kind = "text_completion"

    def whole(self, texts: Sequence[str], usage: TokenUsage) -> dict[str, Any]:
        """A text_completion."""
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": [
                {
                    "index": index,
                    "text": text,
                    "logprobs": None,
                    "finish_reason": "length",
                    "stop_reason": None,
                }
                for index, text in enumerate(texts)
            ],
            "usage": usage.as_dict(),
        }

    def token(self, index: int, word: str, last: bool, usage: TokenUsage | None) -> bytes:
        """A chunk with text."""
        reason = '"length"' if last else "null"
        return self._chunk(
            f'{{"index":{index},"text":"{word}","logprobs":null,"finish_reason":{reason},"stop_reason":null}}',
            usage,
        )


class ChatAnswer(_ChunkedAnswer):
    """POST /v1/chat/completions."""

    prefix = "chatcmpl"
    kind = "chat.completion.chunk"

    def whole(self, texts: Sequence[str], usage: TokenUsage) -> dict[str, Any]:
        """A chat.completion."""
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": text},
                    "logprobs": None,
                    "finish_reason": "length",
                    "stop_reason": None,
                }
                for index, text in enumerate(texts)
            ],
            "usage": usage.as_dict(),
        }

    def opening(self, index: int) -> bytes:
        """The chunk that says who speaks."""
        delta = '{"role":"assistant","content":""}'
        return self._chunk(
            f'{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":null}}', usage=None
        )

    def token(self, index: int, word: str, last: bool, usage: TokenUsage | None) -> bytes:
        """A chunk with content."""
        reason = '"length"' if last else "null"
        return self._chunk(
            f'{{"index":{index},"delta":{{"content":"{word}"}},"logprobs":null,"finish_reason":{reason}}}',
            usage,
        )


class ResponsesAnswer(Answer):
    """POST /v1/responses, in its simplest form: one message, of which three kinds of event speak."""

    prefix = "resp"

    def __init__(self, request_id: str, model: str, created: int) -> None:
        super().__init__(request_id, model, created)
        self._sequence_number = 0

    def whole(self, texts: Sequence[str], usage: TokenUsage) -> dict[str, Any]:
        """A response."""
        return self._response("completed", texts, usage)

    def opening(self, index: int) -> bytes:
        """response.created."""
        return self._event("response.created", response=self._response("in_progress", (), None))

    def token(self, index: int, word: str, last: bool, usage: TokenUsage | None) -> bytes:
        """response.output_text.delta."""
        return self._event(
            "response.output_text.delta",
            item_id=f"msg-{self.id}",
            output_index=index,
            content_index=0,
            delta=word,
            logprobs=[],
        )

    def closing(self, texts: Sequence[str], usage: TokenUsage, include_usage: bool) -> bytes:
        """response.completed, which always has the usage."""
        return self._event("response.completed", response=self._response("completed", texts, usage))

    def _event(self, name: str, **fields: Any) -> bytes:
        data = {"type": name, "sequence_number": self._sequence_number, **fields}
        self._sequence_number += 1
        return f"event: {name}\ndata: {_json(data)}\n\n".encode()

    def _response(self, status: str, texts: Sequence[str], usage: TokenUsage | None) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "model": self.model,
            "status": status,
            "output": [
                {
                    "id": f"msg-{self.id}",
                    "type": "message",
                    "role": "assistant",
                    "status": status,
                    "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": None}],
                }
                for text in texts
            ],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage
            and {
                "input_tokens": usage.prompt,
                "input_tokens_details": {"cached_tokens": usage.cached},
                "output_tokens": usage.completion,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage.prompt + usage.completion,
            },
        }


class EmbeddingAnswer(Answer):
    """POST /v1/embeddings: numbers of the right form, equal for equal inputs and without meaning."""

    prefix = "embd"

    def whole(self, texts: Sequence[str], usage: TokenUsage) -> dict[str, Any]:
        """A list of embeddings."""
        return {
            "id": self.id,
            "object": "list",
            "created": self.created,
            "model": self.model,
            "data": [
                {"index": index, "object": "embedding", "embedding": _numbers(text)}
                for index, text in enumerate(texts)
            ],
            "usage": {
                "prompt_tokens": usage.prompt,
                "total_tokens": usage.prompt,
                "completion_tokens": 0,
                "prompt_tokens_details": {"cached_tokens": usage.cached},
            },
        }


def _json(data: Any) -> str:
    """Without spaces, as vLLM writes it."""
    return msgspec.json.encode(data).decode()


def _numbers(text: str) -> list[float]:
    data = text.encode().ljust(_EMBEDDING_LENGTH)
    return [(byte - 128) / 128 for byte in data[:_EMBEDDING_LENGTH]]
