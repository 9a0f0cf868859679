"""Which header lists are malformed (RFC 9113, sections 8.1 to 8.3). A malformed request is a stream error."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from epp.transport.h2.header_blocks import Fields, list_size

# Section 8.2.1: no control character, space, upper case or byte beyond ASCII; no colon but a pseudo-header's.
_NAME = re.compile(rb"[!-9;-@\[-~]+")

# Section 8.2.1: no NUL, LF or CR, and no white space at either end.
_VALUE = re.compile(rb"(?![ \t])[^\0\r\n]*(?<![ \t])")

# Section 8.3.1: what a request may have, and what it must.
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_NEEDED = frozenset((b":method", b":scheme", b":path"))

# Section 8.2.2: fields that belong to a connection.
_OF_CONNECTIONS = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)


class Head(NamedTuple):
    """What the rules ask about a request's header list."""

    flaw: str  # what makes it malformed; "" if nothing does
    content_length: int | None  # the length that it declares, if it is not malformed and does
    size: int  # what SETTINGS_MAX_HEADER_LIST_SIZE counts


@lru_cache(maxsize=64)  # requests of a gateway repeat
def read_head(fields: Fields) -> Head:
    """Look at a request's header list."""
    flaw = request_flaw(fields)
    return Head(flaw, None if flaw else content_length(fields), list_size(fields))


def request_flaw(fields: Fields) -> str:
    """What makes a request's header list malformed; "" if nothing does."""
    pseudo: dict[bytes, bytes] = {}
    for at, (name, value) in enumerate(fields):
        if name[:1] == b":":
            if name not in _PSEUDO:
                return "an unknown pseudo-header"
            if name in pseudo or len(pseudo) != at:
                return "a pseudo-header twice or after a field"
            pseudo[name] = value
            if not _VALUE.fullmatch(value):
                return "a value that no field may have"
        elif flaw := _field_flaw(name, value):
            return flaw
    return _pseudo_flaw(pseudo) or _length_flaw(fields)


def trailers_flaw(fields: Fields) -> str:
    """What makes trailers malformed; "" if nothing does. They have no pseudo-headers (section 8.1)."""
    flaws = (
        "a pseudo-header in trailers" if name[:1] == b":" else _field_flaw(name, value)
        for name, value in fields
    )
    return next(filter(None, flaws), "")


def content_length(fields: Fields) -> int | None:
    """The length that the request declares, if it does."""
    return next((int(value) for name, value in fields if name == b"content-length"), None)


def _field_flaw(name: bytes, value: bytes) -> str:
    if not _NAME.fullmatch(name):
        return "a name that no field may have"
    if not _VALUE.fullmatch(value):
        return "a value that no field may have"
    if name in _OF_CONNECTIONS or (name == b"te" and value != b"trailers"):
        return "a field of the connection"
    return ""


def _pseudo_flaw(pseudo: dict[bytes, bytes]) -> str:
    if pseudo.get(b":method") == b"CONNECT":  # section 8.5
        return "" if pseudo.keys() == {b":method", b":authority"} else "CONNECT with a scheme or path"
    if not pseudo.keys() >= _NEEDED:
        return "a pseudo-header is missing"
    if not all(pseudo[name] for name in _NEEDED):
        return "an empty pseudo-header"
    path = pseudo[b":path"]
    if path[:1] != b"/" and not (path == b"*" and pseudo[b":method"] == b"OPTIONS"):
        return "a path that does not start with a slash"
    return ""


def _length_flaw(fields: Fields) -> str:
    lengths = {value for name, value in fields if name == b"content-length"}
    if len(lengths) > 1 or not all(value.isdigit() and len(value) < 20 for value in lengths):
        return "a content-length that is no length"
    return ""
