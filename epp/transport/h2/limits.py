"""Every bound that a peer can run into, with the source of its number, and the tally of what was hit.

A bound is known by one name: its field in `Limits`, the word in `Tally`, and the label of the metric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from epp.transport.h2.frames import DEFAULT_MAX_FRAME_SIZE

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `burst` events at once, `per_second` for ever."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one server. Bytes and seconds."""

    # Streams open on one connection. Envoy's default for requests to one cluster (circuit breaker
    # max_requests); at the bound it opens another connection.
    concurrent_streams: int = 1024

    # Connections of one server. Envoy opens one for each of its threads; this is 16 gateways of 64 threads.
    connections: int = 1024

    # What a request's fields may measure (RFC 9113, section 6.5.2: names, values, 32 each); beyond it the
    # answer is 431. The gRPC core's own bound on metadata.
    header_list_bytes: int = 16 * KIB

    # A header block as it comes. Blocks beyond the list's bound are still read, up to here, so that the
    # connection lives on; beyond it goes. Four times the list.
    header_block_bytes: int = 64 * KIB

    # CONTINUATION frames of one block (CVE-2024-27316 and its kind). The block fits into 4 frames of 16 KiB;
    # four times that for clients that cut finer.
    continuations: int = 16

    # RFC 9113, section 4.2: the smallest that may be announced. Envoy sends none larger anyway.
    frame_bytes: int = DEFAULT_MAX_FRAME_SIZE

    # One gRPC message; the server sets it from --max-request-bytes.
    message_bytes: int = 72 * MIB

    # Received bytes for which no credit has been given back. A stream: 1 MiB holds any usual prompt, so that
    # it comes without waiting. A connection: 16 such streams at once.
    stream_window: int = 1 * MIB
    connection_window: int = 16 * MIB

    # Answers that wait for a stream's credit before the method that writes them has to wait as well. Two
    # answers of 62,000 bytes to an Envoy that gave no more than the default window.
    send_queue_bytes: int = 128 * KIB

    # All that is held for all streams of the server: pieces of messages, messages not yet read, answers
    # without credit. Four messages of the largest size; a picker's pod has gigabytes.
    buffered_bytes: int = 288 * MIB

    # Streams reset by the client before anything was answered (rapid reset, CVE-2023-44487). Each costs what
    # a request's headers cost, some 100 us, so 500 a second are 5 % of a core. The burst is nghttp2's.
    early_resets: Rate = Rate(1000, 500)

    # Frames that are answered and bring nothing. The burst is nghttp2's and Envoy's bound on answers
    # outstanding; gRPC pings at most some ten times a second to measure its round trip.
    pings: Rate = Rate(1000, 100)
    settings: Rate = Rate(1000, 100)

    # DATA without data and without END_STREAM (CVE-2019-9518). gRPC never sends one.
    empty_frames: Rate = Rate(1000, 100)

    # WINDOW_UPDATE, PRIORITY and frames of unknown types: 1 us each. Credit comes with every answer that is
    # read, twice, for ten thousand answers a second.
    idle_frames: Rate = Rate(20_000, 20_000)

    # A connection whose preface and SETTINGS have not come, and a frame or header block that does not end:
    # one round trip's work. 10 s is grpc's handshake timeout's order.
    handshake: float = 10
    unfinished: float = 10

    # Silence after which the peer is asked for a sign of life, and how long it may take: a gateway that
    # vanished gives its requests back after 40 s. As the transport over grpc.aio does.
    keepalive: float = 30
    keepalive_answer: float = 10

    # A stream whose answers wait and for which no credit comes: Envoy's own streams idle out at 5 min.
    stalled: float = 300

    # A connection without streams. Envoy's own default for its side (idle_timeout).
    idle: float = 3600


class Bucket:
    """How many events of one kind are still allowed."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._left: float = rate.burst
        self._at = now

    def take(self, now: float) -> bool:
        """Count one event; False if it is one too many."""
        self._left = min(self._rate.burst, self._left + (now - self._at) * self._rate.per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Floods:
    """The buckets of one connection, by the limits' names."""

    def __init__(self, limits: Limits, now: float) -> None:
        names = ("early_resets", "pings", "settings", "empty_frames", "idle_frames")
        self._buckets = {name: Bucket(getattr(limits, name), now) for name in names}

    def count(self, limit: str, now: float) -> bool:
        """Count one event; False if it is one too many."""
        return self._buckets[limit].take(now)


class Tally:
    """What all connections of a server share: the bytes they hold, and whom to tell of a bound hit."""

    def __init__(self, limit_hit: Callable[[str], object]) -> None:
        self.buffered = 0
        self.limit_hit = limit_hit

    def __repr__(self) -> str:
        return f"<Tally {self.buffered} bytes held>"
