"""How late a picker's event loop was, as it tells on its page of metrics."""

from __future__ import annotations

import re
import urllib.request
from collections import Counter

_BUCKET = re.compile(r'^epp_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\d+)$', re.MULTILINE)
_TIMEOUT = 10.0  # seconds; the picker may be busy


class Lag:
    """Looks at the event loop, counted by the bound in seconds that they were not over."""

    def __init__(self, up_to: dict[float, int] | None = None) -> None:
        self._up_to = Counter(up_to or {})

    def __sub__(self, before: Lag) -> Lag:
        return Lag({bound: count - before._up_to[bound] for bound, count in self._up_to.items()})

    def __add__(self, other: Lag) -> Lag:
        return Lag({bound: self._up_to[bound] + other._up_to[bound] for bound in self._up_to | other._up_to})

    def within(self, share: float) -> float:
        """The least bound, in seconds, that this share of the looks was within; 0 without any."""
        looks = max(self._up_to.values(), default=0)
        bounds = (bound for bound, count in sorted(self._up_to.items()) if count >= share * looks)
        return next(bounds) if looks else 0.0


def read_lag(port: int) -> Lag:
    """What the picker with this metrics port has seen since it started."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_TIMEOUT) as answer:
        page = answer.read().decode()
    return Lag({float(bound): int(count) for bound, count in _BUCKET.findall(page)})
