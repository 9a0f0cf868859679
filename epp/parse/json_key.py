"""Finding a key in JSON that comes in chunks, without parsing it.

A key is its quoted name followed by a colon. Inside a JSON string quotes are escaped, so neither a text that
quotes JSON nor a value of the same name is taken for the key. It works the same on whole JSON answers and on
the `data:` lines of server-sent events.
"""

from __future__ import annotations

import re

_BACKSLASH = ord("\\")
_COLON = re.compile(rb"[ \t\r\n]*+(:[ \t\r\n]*+)?")


class JsonKey:
    """One key, as ASCII text without escapes."""

    def __init__(self, name: str) -> None:
        self._quoted = f'"{name}"'.encode()

    def find(self, data: bytes, start: int) -> tuple[int, bytes]:
        """The next value under this key at or after `start`: (where its first byte stands, b"").

        If there is none: (-1, context), where `context` has to stand before the data that comes next, so that
        a key cut by the end of `data` is found then. It has at most three bytes more than the name.
        """
        quoted = self._quoted
        at = data.find(quoted, start)
        while at >= 0:
            if not at or data[at - 1] != _BACKSLASH:
                colon = _COLON.match(data, at + len(quoted))
                assert colon is not None  # it matches nothing, too
                end = colon.end()
                if end == len(data):
                    return -1, quoted + (b":" if colon[1] else b"")
                if colon[1]:
                    return end, b""
            at = data.find(quoted, at + 1)
        return -1, self._begun(data, start)

    def _begun(self, data: bytes, start: int) -> bytes:
        at = data.rfind(b'"', max(start, len(data) - len(self._quoted)))
        if at >= 0 and data[at - 1 : at] != b"\\" and self._quoted.startswith(data[at:]):
            return data[at:]
        return b"\\" if data.endswith(b"\\") else b""
