"""Token counts out of an answer's bytes, JSON or server-sent events, wherever the chunks are cut.

The fields are those of OpenAI's completions, chat, responses and embeddings and of Anthropic's messages, as
vLLM sends them.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from epp.parse.json_key import JsonKey
from epp.types import Usage

# Longest usage object that is read. vLLM's is under 300 bytes; the limit bounds what a stream holds.
MAX_OBJECT_BYTES = 4096

# Counts above this are no counts: they would not even fit in a histogram's sum exactly.
_MAX_COUNT = 2**53

_USAGE = JsonKey("usage")

# What decides where an object ends: braces and quotes that are not escaped.
_STRUCTURE = re.compile(rb'\\.|["{}]', re.DOTALL)


class UsageScanner:
    """Reads the usage of one answer while it passes.

    A stream may report more than once (vLLM's continuous_usage_stats does with every chunk, Anthropic's API
    at the start and at the end): the last report counts, and what it leaves out comes from those before.
    """

    def __init__(self) -> None:
        self._context = b""  # seen already, and part of what may be a key
        self._object: _OpenObject | None = None
        self._prompt: int | None = None
        self._completion: int | None = None
        self._cached: int | None = None

    @property
    def usage(self) -> Usage | None:
        """What was reported so far; None: nothing."""
        if self._prompt is None and self._completion is None:
            return None
        return Usage(self._prompt or 0, self._completion or 0, self._cached)

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the answer."""
        data = self._context + data
        self._context = b""
        at = 0
        while at < len(data):
            if self._object is None:
                at, self._context = _USAGE.find(data, at)
                if at < 0:
                    return
                if data[at] == ord("{"):
                    self._object = _OpenObject()
            else:
                at = self._object.take(data, at)
                if self._object.is_whole:
                    self._count(self._object.data)
                if self._object.is_whole or self._object.is_full:
                    self._object = None

    def _count(self, usage: bytes) -> None:
        try:
            fields = msgspec.json.decode(usage)
        except (ValueError, RecursionError):
            return
        prompt = _count_in(fields, "prompt_tokens", "input_tokens")
        completion = _count_in(fields, "completion_tokens", "output_tokens")
        if prompt is None and completion is None:
            return
        self._prompt = self._prompt if prompt is None else prompt
        self._completion = self._completion if completion is None else completion
        cached = _cached_in(fields)
        self._cached = self._cached if cached is None else cached


class _OpenObject:
    """A JSON object whose end has not come yet."""

    def __init__(self) -> None:
        self.data = b""
        self.is_whole = False
        self._depth = 0
        self._in_string = False
        self._seen = 0  # bytes of `data` whose structure is known

    @property
    def is_full(self) -> bool:
        return len(self.data) >= MAX_OBJECT_BYTES

    def take(self, data: bytes, at: int) -> int:
        """Takes what belongs to the object from `data[at:]`; returns where the rest begins."""
        before = len(self.data)
        self.data += data[at : at + MAX_OBJECT_BYTES - before]
        for token in _STRUCTURE.finditer(self.data, self._seen):
            self._seen = token.end()
            self._read(token[0])
            if not self._depth:
                self.is_whole = True
                self.data = self.data[: token.end()]
                break
        return at + len(self.data) - before

    def _read(self, token: bytes) -> None:
        if token == b'"':
            self._in_string = not self._in_string
        elif not self._in_string:
            self._depth += {b"{": 1, b"}": -1}.get(token, 0)


def _cached_in(fields: dict[str, Any]) -> int | None:
    # The misspelt one is the reference's; servers written for it may send it.
    for name in ("prompt_tokens_details", "input_tokens_details", "prompt_token_details"):
        details = fields.get(name)
        if isinstance(details, dict) and (cached := _count_in(details, "cached_tokens")) is not None:
            return cached
    return _count_in(fields, "cache_read_input_tokens")


def _count_in(fields: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT:
            return value
    return None
