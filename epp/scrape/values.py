"""Numbers as model servers tell them: from text to a number, and from a number to one that can be believed.

What cannot be read or believed is None, "it did not say": a broken gauge never makes an endpoint look idle.
"""

from __future__ import annotations

from math import isfinite

# No server holds a million requests, each on a connection of its own: more is a broken gauge.
MAX_REQUESTS = 1_000_000

# SGLang's pages may hold a single token each; a billion of them is beyond any accelerator's memory.
MAX_BLOCKS = 1_000_000_000

# KV use is a ratio of block counts; what rounding and a block in transit add to 1 is still "full". A server
# that tells percent (57.0) is far outside, and is not believed.
MAX_FRACTION = 1.01


def number(text: str | bytes | None) -> float | None:
    """The finite number that `text` writes in decimal; None for NaN, infinity and everything else."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def count(value: float | None) -> int | None:
    """Requests, or adapters: a whole number from 0 on."""
    if value is None or not 0 <= value <= MAX_REQUESTS:
        return None
    return int(value)


def size(value: float | None) -> int | None:
    """Tokens in a block, or blocks in a cache: a whole number from 1 on."""
    if value is None or not 1 <= value <= MAX_BLOCKS:
        return None
    return int(value)


def fraction(value: float | None) -> float | None:
    """A share, 0 to 1."""
    if value is None or not 0 <= value <= MAX_FRACTION:
        return None
    return min(value, 1.0)
