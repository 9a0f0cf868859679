"""Numbers drawn by chance, written in a word: how long prompts, answers and pauses are."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"

_Sample = Callable[[random.Random, float, float], float]

# What may be written, how it is drawn from its numbers, and what it means. Limits keep draws
# from overflowing; nothing real is beyond them.
_FORMS: tuple[tuple[str, _Sample, str], ...] = (
    (_NUMBER, lambda rng, value, _: value, "250: always that"),
    (f"{_NUMBER}-{_NUMBER}", lambda rng, low, high: rng.uniform(low, high), "20-400: uniform"),
    (f"~{_NUMBER}", lambda rng, mean, _: mean * rng.expovariate(1), "~250: exponential with that mean"),
    (
        f"{_NUMBER}x{_NUMBER}",
        lambda rng, median, sigma: median * rng.lognormvariate(0, min(sigma, 10)),
        "250x1.2: log-normal, median and sigma of the logarithm",
    ),
    (
        f"{_NUMBER}p{_NUMBER}",
        lambda rng, least, tail: least * rng.paretovariate(max(tail, 0.1)),
        "300p1.1: Pareto, the least and the tail's index",
    ),
)

GRAMMAR = "; ".join(meaning for *_, meaning in _FORMS) + "; 250x1.2max900: the same, cut at 900"

# Tokens or seconds: more than any model's context.
_MOST = 2_000_000.0


class Draw:
    """What `text` says, see `GRAMMAR`; ValueError if that is nothing to draw from.

    >>> Draw("20-400").tokens(rng)
    """

    __slots__ = ("_draw", "_most", "_numbers", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        for form, draw, _ in _FORMS:
            match = re.fullmatch(f"{form}(?:max{_NUMBER})?", text)
            if match:
                *numbers, most = match.groups()
                self._draw = draw
                self._most = min(_MOST, float(most or _MOST))
                self._numbers = (float(numbers[0]), float(numbers[-1]))
                return
        raise ValueError(f'"{text}" says nothing that can be drawn ({GRAMMAR})')

    def __repr__(self) -> str:
        return f"Draw({self.text})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Draw) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def draw(self, rng: random.Random) -> float:
        """A number from 0 on."""
        return min(self._most, self._draw(rng, *self._numbers))

    def tokens(self, rng: random.Random) -> int:
        """A length of at least one token."""
        return max(1, round(self.draw(rng)))
