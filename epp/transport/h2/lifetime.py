"""How long a connection may take: for its handshake, over a frame, without a word, without a stream."""

from __future__ import annotations

from epp.transport.h2.limits import Limits


class Lifetime:
    """The times of one connection, in seconds of its clock."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._opened_at = self._heard_at = self._whole_at = self._idle_since = now
        self._asked_at: float | None = None  # when the peer was asked for a sign of life

    def heard(self, now: float) -> None:
        """Bytes came: the peer lives."""
        self._heard_at = now
        self._asked_at = None

    def whole(self, now: float) -> None:
        """All that had begun by now was complete."""
        self._whole_at = now

    def idle(self, now: float) -> None:
        """The last stream is closed."""
        self._idle_since = now

    def overdue(self, now: float, *, greeted: bool, unfinished: bool) -> str:
        """The limit that the peer has passed; "" if none. `unfinished`: a frame or header block has begun."""
        limits = self._limits
        if not greeted and now - self._opened_at > limits.handshake:
            return "handshake"
        if unfinished and now - self._whole_at > limits.unfinished:
            return "unfinished"
        if self._asked_at is not None and now - self._asked_at > limits.keepalive_answer:
            return "keepalive"
        return ""

    def ask(self, now: float) -> bool:
        """Whether to ask for a sign of life now; it counts as asked."""
        due = self._asked_at is None and now - self._heard_at > self._limits.keepalive
        if due:
            self._asked_at = now
        return due

    def unused(self, now: float) -> bool:
        """Whether a connection without streams has been so for long enough."""
        return now - self._idle_since > self._limits.idle
