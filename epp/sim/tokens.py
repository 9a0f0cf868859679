"""Text to token ids and back: 4 bytes are a token, which is about what a real tokenizer makes of English.

Tokens are kept as packed bytes, 4 to a token: the text itself, padded with zeros. So equal texts have equal
tokens, and an answer that comes back in the next turn of a chat has the tokens it had when it was produced.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

TOKEN_BYTES = 4

# What the simulated model says: words of one token each.
_WORDS = ("the ", "sim ", "says", " so ", "and ", "more", " or ", "less", " of ", "all ", "it. ", "Yes ")


def encode(text: str) -> bytes:
    """The packed tokens of `text`."""
    data = text.encode("utf-8", "surrogatepass")
    return data + bytes(-len(data) % TOKEN_BYTES)


def pack(ids: Sequence[int]) -> bytes:
    """The packed tokens of a list of token ids; ValueError if one is no token id."""
    try:
        return struct.pack(f"<{len(ids)}I", *ids)
    except struct.error as error:
        raise ValueError("token ids are integers from 0 to 4294967295") from error


def count(tokens: bytes) -> int:
    """How many tokens."""
    return len(tokens) // TOKEN_BYTES


def encode_chat(messages: Iterable[tuple[str, str]]) -> bytes:
    """The packed tokens of a chat of (role, text), each turn headed by its role, and the answer's heading."""
    turns = [encode(f"<|{role}|>") + encode(text) for role, text in messages]
    return b"".join(turns) + encode("<|assistant|>")


def output_text(seed: int, length: int) -> str:
    """An answer of `length` tokens, each `TOKEN_BYTES` characters; two differ soon if their seeds do.

    `seed` has 64 bits, of which each word looks at a few.
    """
    return "".join(_WORDS[(seed >> (index % 59)) % len(_WORDS)] for index in range(length))
