"""A Prometheus histogram that renders itself quickly: a simulated server is scraped twenty times a second."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate


def number(value: float) -> str:
    """`value` as Prometheus clients write it: 12.0, 1.795346465e+09."""
    text = repr(float(value))
    dot = text.find(".")
    if dot <= 6 or "e" in text:
        return text
    digits = text.replace(".", "").rstrip("0")
    return f"{digits[0]}.{digits[1:] or 0}e+{dot - 1:02}"


@lru_cache(maxsize=1024)  # a page has about a hundred besides those that histograms keep
def braces(**labels: str | float | None) -> str:
    """`labels` as they follow a name, sorted as Prometheus clients do; "" for none."""
    pairs = [f'{name}="{_escape(str(value))}"' for name, value in sorted(labels.items())]
    return f"{{{','.join(pairs)}}}" if pairs else ""


class Histogram:
    """Counts of observations up to each bound of `bounds` (ascending, without +Inf).

    The text is made anew only after an observation.
    """

    def __init__(self, name: str, bounds: Sequence[float], **labels: str) -> None:
        self.count = 0
        self.sum = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._lines = [
            f"{name}_bucket{braces(le=bound, **labels)} " for bound in (*map(float, bounds), "+Inf")
        ]
        self._tail = (f"{name}_count{braces(**labels)} ", f"{name}_sum{braces(**labels)} ")
        self._text = ""
        self._text_count = -1  # observations that `_text` knows of

    def observe(self, value: float) -> None:
        """Counts one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.count += 1
        self.sum += value

    def render(self) -> str:
        """All samples, a line each."""
        if self._text_count != self.count:
            self._text_count = self.count
            buckets = [
                f"{line}{total}.0\n"
                for line, total in zip(self._lines, accumulate(self._counts), strict=True)
            ]
            count, total_sum = self._tail
            self._text = f"{''.join(buckets)}{count}{self.count}.0\n{total_sum}{number(self.sum)}\n"
        return self._text


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
