"""What a workload is: arrivals in order of time, each with its prompt as pieces of synthetic text.

Two prompts share a prefix as far as their pieces agree. A piece becomes bytes only when the request comes,
4 to a token, so that a long trace of long prompts needs little memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import xxhash

from epp.sim.tokens import TOKEN_BYTES

# Characters of the pattern that a piece repeats: a 64-bit hash as hexadecimal digits, so that a prompt can be
# sent in JSON, too.
_PATTERN_LENGTH = 16


class Piece(NamedTuple):
    """A stretch of text: equal keys, equal text."""

    key: str
    tokens: int


class Arrival(NamedTuple):
    """One request. `adapter` "" is the base model; `answer` names the text that comes of it."""

    at: float  # seconds since the start
    prompt: tuple[Piece, ...]
    output_tokens: int
    answer: str
    adapter: str = ""
    priority: int = 0


def text(pieces: Iterable[Piece]) -> bytes:
    """The text of `pieces`, one after the other, in ASCII."""
    return b"".join([_piece(piece) for piece in pieces])


def _piece(piece: Piece) -> bytes:
    size = piece.tokens * TOKEN_BYTES
    pattern = xxhash.xxh64_hexdigest(piece.key.encode()).encode()
    return (pattern * (size // _PATTERN_LENGTH + 1))[:size]
