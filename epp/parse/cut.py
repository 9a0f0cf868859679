"""A JSON object of which only the first part has come, as in Envoy's body mode BUFFERED_PARTIAL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_OPENING = re.compile(r"[ \t\r\n]*\{")
_BEFORE_NAME = re.compile(r'[ \t\r\n]*,?[ \t\r\n]*(?=")')
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
_scan = json.JSONDecoder(strict=False).raw_decode


def split_cut_object(body: bytes) -> tuple[bytes, str, memoryview]:
    """(an object of the members that are whole, the name of the member that is cut, its value up to the cut).

    Offsets in the object are those in `body`. Name and value are empty where the cut is not within a value.
    What does not begin as an object comes back as it is, for the JSON decoder to refuse.
    """
    text = body.decode("latin-1")  # a byte is a character: only positions are asked for
    opening = _OPENING.match(text)
    if opening is None:
        return body, "", memoryview(b"")
    whole_end = opening.end()
    cut_name, cut_start = "", len(body)
    for name, start, end in _members(text, whole_end):
        if end < 0:
            cut_name, cut_start = name, start
        else:
            whole_end = end
    return body[:whole_end] + b"}", cut_name, memoryview(body)[cut_start:]


def _members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """(name, start of its value, its end) of each member from `at` on; an end of -1 is the cut."""
    while before := _BEFORE_NAME.match(text, at):
        try:
            name, at = _scan(text, before.end())
        except ValueError:
            return
        colon = _COLON.match(text, at)
        if colon is None:
            return
        try:
            _, at = _scan(text, colon.end())
        except (ValueError, RecursionError):
            at = -1
        if at in (-1, len(text)):  # what ends where the text does may go on: a number
            yield name, colon.end(), -1
            return
        yield name, colon.end(), at
