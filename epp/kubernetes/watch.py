"""When to list a collection, when to watch it, and how long to wait before: the state of one watch.

    ListAll ──listed──▶ Stream ──ended──▶ Stream, from the last version that was told
       ▲                  │
       └──── 410 Gone ────┘      other failures: the same step again, after a pause

The rules are those of the Kubernetes API (concepts "Efficient detection of changes"). Every method returns
what should be done next; epp.kubernetes.follow does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# First and longest pause after failures, seconds, doubled in between. The first is about one round trip to a
# busy server; the longest bounds how late the picker notices that a server is back.
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0

# Seconds between two looks whether a kind is installed by now, or may be read by now: somebody has just
# installed it by hand, and looks.
ABSENT_PAUSE = 15.0

# Answers "404" in a row after which a kind is believed to be gone. A server that starts says it of kinds that
# it does not know yet.
ABSENT_ANSWERS = 3

# A stream that ends sooner than this, in seconds, counts as a failure: servers keep them open for minutes,
# and asking again at once would be a flood.
SHORTEST_STREAM = 1.0

# How long a stream is asked for, seconds, as client-go does: not always as long, so that the streams of many
# clients do not end together.
SHORTEST_LIFE, LONGEST_LIFE = 300.0, 600.0

# Seconds of silence after which a stream is believed dead. Servers send a bookmark about every 60.
STALLED_AFTER = 90.0


@dataclass(frozen=True, slots=True)
class ListAll:
    """Fetch the whole collection, after a pause in seconds."""

    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Stream:
    """Watch from `version` on, after a pause in seconds, for at most `life` seconds."""

    version: str
    life: int
    after: float = 0.0


Step = ListAll | Stream


class Watch:
    """What is known of one watch. `uniform(a, b)` draws a number, for jitter."""

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self._uniform = uniform
        self._version = ""  # "": a list is due
        self._failures = 0  # in a row
        self._absences = 0  # answers "404" in a row
        self._lists_without_news = 0  # since the last event

    def __repr__(self) -> str:
        return f"<Watch version={self._version!r} failures={self._failures}>"

    @property
    def absent(self) -> bool:
        """Whether the kind is not installed."""
        return self._absences >= ABSENT_ANSWERS

    def begin(self) -> Step:
        """The first step."""
        return ListAll()

    def listed(self, version: str) -> Step:
        """The whole collection came, at `version`."""
        self._version = version
        self._absences = 0
        return self._stream()

    def told(self, version: str) -> None:
        """An event or a bookmark came: the stream goes on from `version` if it breaks."""
        self._version = version or self._version
        self._failures = self._lists_without_news = 0

    def ended(self, lasted: float) -> Step:
        """The stream ended, as it should, after `lasted` seconds."""
        if lasted >= SHORTEST_STREAM:
            self._failures = 0
            return self._stream()
        self._failures += 1
        return self._stream(self._pause())

    def failed(self, status: int) -> Step:
        """A step failed, with this HTTP status (0: no answer, or garbage)."""
        self._absences = self._absences + 1 if status == 404 else 0
        if status == 410:
            return self._expired()
        if status in (403, 404):
            self._version = ""
            return ListAll(self._jittered(ABSENT_PAUSE))
        self._failures += 1
        return self._stream(self._pause()) if self._version else ListAll(self._pause())

    def _expired(self) -> Step:
        """The version is too old: everything is listed anew, at once unless that has just been done."""
        self._version = ""
        self._lists_without_news += 1
        if self._lists_without_news == 1:
            return ListAll()
        self._failures += 1
        return ListAll(self._pause())

    def _stream(self, after: float = 0.0) -> Step:
        return Stream(self._version, int(self._uniform(SHORTEST_LIFE, LONGEST_LIFE)), after)

    def _pause(self) -> float:
        # The exponent is bounded, because failures are not: the server may be gone for days.
        doubled: float = FIRST_PAUSE * 2 ** min(self._failures - 1, 16)
        return self._jittered(min(doubled, LONGEST_PAUSE))

    def _jittered(self, seconds: float) -> float:
        return seconds * self._uniform(0.5, 1.0)
