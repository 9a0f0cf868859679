"""One client of the pure core of HTTP/2, read from bytes, against a server of many moods that checks itself.

The first bytes of a client are the seed of everything that it does not say: how its bytes are cut, how time
goes by between the pieces, and what the server does meanwhile. The rest is what it sends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from random import Random

from hpack import Decoder

from epp.transport.h2 import frames
from epp.transport.h2.connection import Connection
from epp.transport.h2.frames import ErrorCode, Setting
from epp.transport.h2.grpc import RESPONSE, CallError, MessageReader, Refusal, framed, read_request, trailers
from epp.transport.h2.header_blocks import Fields
from epp.transport.h2.limits import Limits, Rate, Tally
from epp.transport.h2.stream import Stream
from tests import h2_dialogues
from tests.h2_peer import CreditReceived, DataReceived, Event, Recorder, whole_frames

# Bytes of the seed.
SEED = 2

# Small enough that a client of some hundred bytes runs into every one.
_RARELY = Rate(6, 1)
LIMITS = replace(
    h2_dialogues.LIMITS,
    message_bytes=600,
    early_resets=_RARELY,
    pings=_RARELY,
    settings=_RARELY,
    empty_frames=_RARELY,
    idle_frames=Rate(12, 1),
)

# Seconds between two pieces: for most clients none; for others up to one of the limits (10, 30, 300, 3,600).
_PAUSES = ((0,), (0,), (0, 0, 1), (0, 9, 31), (0, 0, 0, 11, 301, 3_601))

_END_OK = trailers(0)


class Server:
    """A server that does at each step whatever `rng` says, within the rules of `Connection`'s callers."""

    def __init__(self, limits: Limits, rng: Random) -> None:
        self.hits: list[str] = []
        self.tally = Tally(self.hits.append)
        self.now = 0.0
        self.connection = Connection(limits, self.tally, self.now, self._begin)
        self.written = bytearray()
        self._limits = limits
        self._rng = rng
        self._pauses = rng.choice(_PAUSES)
        self._readers: dict[int, MessageReader] = {}

    def step(self, piece: bytes) -> None:
        """Takes a piece, and does something of its own."""
        self.now += self._rng.choice(self._pauses)
        self.connection.receive(piece, self.now)
        match self._rng.randrange(8):
            case 0:
                for _ in range(3):
                    self.now += self._rng.choice(self._pauses)
                    self.connection.tick(self.now)
            case 1:
                self.connection.hold(self._rng.random() < 0.5, self.now)
            case 2 if self._rng.random() < 0.1:
                self.connection.drain(self.now)
            case _ if streams := self.connection.streams:
                self._act(self._rng.choice(streams))
        self._check()

    def leave(self) -> None:
        """The client is gone, and nothing of it stays."""
        self.connection.abandon()
        assert not self.connection.streams
        assert self.tally.buffered == 0

    def _handle(self, event: Event) -> None:
        stream = event.stream
        match event:
            case DataReceived(_, data, ended):
                self._read(stream, data, ended)
            case CreditReceived():
                assert not stream.choked
            case _:
                assert stream not in self.connection.streams
                self._readers.pop(stream.id, None)

    def _begin(self, stream: Stream, fields: Fields, ended: bool) -> None:
        stream.receiver = Recorder(stream, self._handle)
        if (encoding := read_or_refuse(fields)) is not None:
            self._readers[stream.id] = MessageReader(self._limits.message_bytes, encoding)
        elif self._rng.random() < 0.5:
            self.connection.end(stream, trailers(12, "no such method", alone=True), unwanted=True)

    def _read(self, stream: Stream, data: bytes, ended: bool) -> None:
        stream.behind = self._rng.random() < 0.5
        if (reader := self._readers.get(stream.id)) is None:
            return
        try:
            for message in reader.feed(data, 0, len(data)):
                assert len(message) <= self._limits.message_bytes
                self._write(stream, framed([message]))
            assert reader.pending <= self._limits.message_bytes
            if ended and not reader.amid:
                self.connection.end(stream, _END_OK)
        except CallError as fault:
            del self._readers[stream.id]
            self.connection.end(stream, trailers(fault.status, str(fault), alone=not stream.answered))

    def _write(self, stream: Stream, pieces: list[bytes]) -> None:
        if not stream.answered:
            self.connection.respond(stream, RESPONSE)
        if not stream.choked:
            self.connection.send(stream, pieces)

    def _act(self, stream: Stream) -> None:
        match self._rng.randrange(4):
            case 0:
                self._write(stream, [bytes(self._rng.randrange(2_000)) for _ in range(3)])
            case 1:
                self._write(stream, [bytes(self._rng.choice((17_000, 70_000)))])
            case 2:
                self.connection.caught_up(stream)
            case 3:
                self.connection.end(
                    stream, self._rng.choice((_END_OK, ())), unwanted=self._rng.random() < 0.5
                )

    def _check(self) -> None:
        for piece in self.connection.take_output():
            self.written += piece
        streams = self.connection.streams
        assert len(streams) <= self._limits.concurrent_streams
        assert self.tally.buffered == sum(stream.queue.size for stream in streams)
        assert not (self.connection.closed and streams)
        assert all(0 <= stream.receive_window <= self._limits.stream_window for stream in streams)


def read_or_refuse(fields: tuple[tuple[bytes, bytes], ...]) -> str | None:
    """The encoding of a call's messages; None for what is no call."""
    try:
        request = read_request(fields)
    except CallError:
        return None
    return None if isinstance(request, Refusal) else request.encoding


def play(client: bytes) -> Server:
    """Serves one client and checks everything that holds for any: see the assertions."""
    rng, sent = Random(client[:SEED]), client[SEED:]
    server = Server(LIMITS, rng)
    for piece in cut(sent, rng):
        server.step(piece)
    server.leave()
    check_answers(sent, server)
    check_cuts(sent, rng)
    return server


def cut(sent: bytes, rng: Random) -> Iterator[bytes]:
    """The bytes in some pieces, cut at places drawn from all over."""
    places = sorted(rng.choices(range(len(sent) + 1), k=rng.choice((0, 4, 20))))
    for start, end in pairwise((0, *places, len(sent))):
        yield sent[start:end]


def check_cuts(sent: bytes, rng: Random) -> None:
    """What a client says does not depend on how its bytes are cut."""
    whole, parts = Listener(), Listener()
    whole.hear([sent])
    parts.hear(cut(sent, rng))
    assert whole.told == parts.told
    assert whole.written == parts.written


class Listener:
    """A server that never answers: what it is told, and what the core writes of its own accord."""

    def __init__(self) -> None:
        self._connection = Connection(LIMITS, Tally(lambda _: None), 0.0, self._begin)
        self.told: list[tuple[object, ...]] = []
        self.written = b""

    def hear(self, pieces: Iterator[bytes] | list[bytes]) -> None:
        """Takes everything that is said."""
        for piece in pieces:
            self._connection.receive(piece, 0.0)
        self.written = b"".join(map(bytes, self._connection.take_output()))

    def _begin(self, stream: Stream, *rest: object) -> None:
        self.told.append((stream.id, *rest))
        stream.receiver = Recorder(stream, lambda event: self.told.append((stream.id, *event[1:])))


def check_answers(sent: bytes, server: Server) -> None:
    """What was written is lawful: within the client's credit, and in the states of section 5.1."""
    allowed = Allowed(sent)
    table = Decoder()
    ended: set[int] = set()
    reset: set[int] = set()
    block = b""
    last_words: list[ErrorCode] = []
    for kind, flags, stream_id, payload in whole_frames(bytes(server.written)):
        assert not any(last_words), "nothing follows the last GOAWAY"
        if kind in (frames.HEADERS, frames.CONTINUATION):
            assert stream_id in allowed.opened
            block += payload
            if flags & frames.END_HEADERS:
                table.decode(block)
                block = b""
        elif kind == frames.DATA:
            allowed.take(stream_id, len(payload))
        elif kind == frames.RST_STREAM:
            reset.add(stream_id)
        elif kind == frames.GOAWAY:
            last_words.append(ErrorCode(frames.read_number(payload[4:])))
        if kind in (frames.HEADERS, frames.CONTINUATION, frames.DATA):
            assert stream_id not in ended | reset, "nothing follows the end"
            if flags & frames.END_STREAM and kind != frames.CONTINUATION:
                ended.add(stream_id)
    assert len([code for code in last_words if code]) <= 1, "a broken connection is told why once"


class Allowed:
    """What a client has allowed by the end of its words: streams, frame sizes, and credit.

    Never less than what it had allowed when the server wrote, so it proves only that nothing went far out.
    """

    def __init__(self, sent: bytes) -> None:
        self.opened: set[int] = set()
        self._frame = frames.DEFAULT_MAX_FRAME_SIZE
        self._initial = self._connection = frames.DEFAULT_WINDOW
        self._streams: dict[int, int] = defaultdict(int)
        if sent.startswith(frames.PREFACE):
            for frame in whole_frames(sent[len(frames.PREFACE) :], LIMITS.frame_bytes):
                self._note(*frame)  # nor does the server hear more

    def _note(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == frames.HEADERS:
            self.opened.add(stream_id)
        elif kind == frames.WINDOW_UPDATE and len(payload) == 4:
            increment = frames.read_number(payload) & frames.MAX_WINDOW
            if stream_id:
                self._streams[stream_id] += increment
            else:
                self._connection += increment
        elif kind == frames.SETTINGS and not len(payload) % 6:
            for setting, value in frames.read_settings(payload):
                if setting == Setting.INITIAL_WINDOW_SIZE:
                    self._initial = max(self._initial, value)
                elif setting == Setting.MAX_FRAME_SIZE:
                    self._frame = max(self._frame, value)

    def take(self, stream_id: int, size: int) -> None:
        """The server has sent so much data."""
        assert stream_id in self.opened
        assert size <= self._frame
        self._connection -= size
        self._streams[stream_id] -= size
        assert self._connection >= 0
        assert self._initial + self._streams[stream_id] >= 0
