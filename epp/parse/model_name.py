"""The model's name in bytes: another one on the way in, the client's own on the way out."""

from __future__ import annotations

import json

from epp.parse.json_key import JsonKey

_MODEL = JsonKey("model")


def replace_model(body: bytes, span: tuple[int, int], model: str) -> bytes:
    """`body` with `model` as the JSON string at `span`; every other byte is as it was."""
    start, end = span
    view = memoryview(body)
    return b"".join((view[:start], _quote(model), view[end:]))


class ModelNameRestorer:
    """Turns the name that the endpoint was asked for back into the one that the client gave.

    In a JSON or SSE answer, each string that equals `target` under a key "model" becomes `incoming`,
    whether it is written in UTF-8 or in \\u escapes. The result does not depend on how the answer is cut
    into chunks. No more is held back than the beginning of a name that may be the target.
    """

    def __init__(self, target: str, incoming: str) -> None:
        self._names = (_quote(target), json.dumps(target, ensure_ascii=False).encode(errors="replace"))
        self._incoming = _quote(incoming)
        self._context = b""  # passed on already, and part of what may be a key
        self._held = b""  # the beginning of a value, not passed on yet

    def feed(self, data: bytes, end: bool) -> bytes:
        """What can go on now that `data` has come; everything once `end` says that it is the last."""
        data = b"".join((self._context, self._held, data))
        passed = len(self._context)
        pieces: list[bytes] = []
        self._held = b""
        at, self._context = _MODEL.find(data, 0)
        while at >= 0:
            name = next((name for name in self._names if data.startswith(name, at)), b"")
            if name:
                pieces += (data[passed:at], self._incoming)
                passed = at = at + len(name)
            elif not end and self._is_begun(data, at):
                self._context, self._held = b'"model":', data[at:]
                break
            at, self._context = _MODEL.find(data, at)
        pieces.append(data[passed : len(data) - len(self._held)])
        return b"".join(pieces)

    def _is_begun(self, data: bytes, at: int) -> bool:
        longest = max(map(len, self._names))
        return len(data) - at < longest and any(name.startswith(data[at:]) for name in self._names)


def _quote(name: str) -> bytes:
    # ASCII only, so that any text makes valid JSON, also text that is not valid Unicode.
    return json.dumps(name).encode("ascii")
