"""Random clients of the HTTP/2 core: frames that make sense, frames that nearly do, and plain garbage."""

from __future__ import annotations

from typing import Any

from hpack import Encoder
from hypothesis import strategies as st

from epp.transport.h2 import frames
from epp.transport.h2.connection import Connection
from epp.transport.h2.frames import ErrorCode
from epp.transport.h2.header_blocks import Fields
from epp.transport.h2.limits import Limits, Tally
from epp.transport.h2.stream import Stream
from tests.h2_peer import CreditReceived, DataReceived, Event, Recorder, StreamLost, whole_frames

# Small enough that a random client runs into every one.
LIMITS = Limits(
    concurrent_streams=4,
    header_list_bytes=400,
    header_block_bytes=800,
    continuations=3,
    stream_window=1_000,
    connection_window=70_000,
    send_queue_bytes=500,
)

_IDS = st.one_of(
    st.sampled_from([0, 1, 3, 5, 7, 9, 11, 13]), st.integers(0, 20), st.just(frames.MAX_STREAM_ID)
)
_REQUEST = Encoder().encode([(":method", "POST"), (":scheme", "http"), (":path", "/a")])
_BLOCKS = st.one_of(
    st.sampled_from(
        [
            b"\x83\x86\x84",  # :method POST, :scheme http, :path /
            _REQUEST,  # inserts into the table
            b"\x83\x86\x84\xbe",  # and uses what was inserted
            b"\x20\x83\x86\x84",  # changes the table's size
            b"\x83\x86\x84\x00\x01x\x7f\xd1\x02" + b"y" * 464,  # over the announced size
            b"\x86",  # malformed
        ]
    ),
    st.binary(max_size=12),
)


def _frame(kind: int, flags: Any, ids: Any, payload: Any) -> st.SearchStrategy[bytes]:
    return st.builds(frames.frame, st.just(kind), flags, ids, payload)


_FLAGS = st.one_of(st.sampled_from([0, 1, 4, 5, 0x0C, 0x25]), st.integers(0, 255))
_NUMBERS = st.one_of(st.integers(0, 100_000), st.integers(0, 2**32 - 1)).map(lambda n: n.to_bytes(4, "big"))
_SETTINGS = st.lists(st.tuples(st.integers(0, 8), _NUMBERS), max_size=3).map(
    lambda items: b"".join(setting.to_bytes(2, "big") + value for setting, value in items)
)

# Any frame a client may send, of the right shape or not.
FRAMES = st.one_of(
    _frame(frames.HEADERS, st.sampled_from([4, 5]), st.sampled_from([1, 3, 5, 7, 9, 11]), _BLOCKS),
    _frame(frames.HEADERS, _FLAGS, _IDS, _BLOCKS),
    _frame(frames.CONTINUATION, _FLAGS, _IDS, _BLOCKS),
    _frame(frames.DATA, st.sampled_from([0, 1, 8]), _IDS, st.binary(max_size=400)),
    _frame(frames.PRIORITY, _FLAGS, _IDS, st.binary(min_size=4, max_size=5)),
    _frame(frames.RST_STREAM, st.just(0), _IDS, _NUMBERS),
    _frame(frames.SETTINGS, st.just(0), st.just(0), _SETTINGS),
    _frame(frames.PING, st.sampled_from([0, 1]), st.just(0), st.just(b"draining")),
    _frame(frames.GOAWAY, st.just(0), st.just(0), st.binary(min_size=7, max_size=9)),
    _frame(frames.WINDOW_UPDATE, st.just(0), _IDS, _NUMBERS),
    _frame(frames.WINDOW_UPDATE, st.just(0), st.just(0), st.just(b"\0\0\x40\0")),
    st.builds(frames.frame, st.integers(0, 255), _FLAGS, _IDS, st.binary(max_size=20)),
    st.binary(max_size=30),
)

# What a client does that mostly keeps the rules: the act, which of its streams, and a number or data.
_ACTS = st.tuples(
    st.sampled_from(["open", "data", "data", "end", "reset", "credit", "credit all", "window", "trailers"]),
    st.integers(0, 5),
    st.binary(max_size=300),
)
_END = frames.END_STREAM


def _lawful(window: int, acts: list[tuple[str, int, bytes]]) -> bytes:
    """The bytes of a client with this window for its streams."""
    window_is = frames.Setting.INITIAL_WINDOW_SIZE
    sent = [frames.PREFACE, frames.settings_frame({window_is: window})]
    streams = 0
    for act, which, data in acts:
        stream = 2 * (which % (streams + 1)) - 1
        if act == "open" or stream < 0:
            streams += 1
            flags = frames.END_HEADERS | (_END if which == 5 else 0)
            sent.append(frames.frame(frames.HEADERS, flags, 2 * streams - 1, b"\x83\x86\x84"))
        elif act in ("data", "end"):
            sent.append(frames.frame(frames.DATA, _END if act == "end" else 0, stream, data))
        elif act == "reset":
            sent.append(frames.rst_stream_frame(stream, ErrorCode.CANCEL))
        elif act == "trailers":
            sent.append(frames.frame(frames.HEADERS, frames.END_HEADERS | _END, stream, b"\0\1a\1b"))
        elif act == "window":
            sent.append(frames.settings_frame({window_is: len(data)}))
        else:
            sent.append(frames.window_update_frame(stream if act == "credit" else 0, 1 + len(data)))
    return b"".join(sent)


_LAWFUL = st.builds(_lawful, st.sampled_from([0, 10, 70_000]), st.lists(_ACTS, max_size=30))
_PREFACE = st.just(frames.PREFACE + frames.settings_frame({}))

# What a client sends, from its first byte on.
CLIENTS = st.one_of(
    _LAWFUL,
    st.tuples(_LAWFUL, st.lists(FRAMES, max_size=5).map(b"".join)).map(b"".join),
    st.tuples(_PREFACE, st.lists(FRAMES, max_size=30).map(b"".join)).map(b"".join),
    st.lists(FRAMES, max_size=5).map(lambda sent: frames.PREFACE + b"".join(sent)),
    st.lists(FRAMES, max_size=5).map(b"".join),
)


class Server:
    """A server that sends back what it gets and checks itself; or says nothing, if `mute`."""

    def __init__(self, *, mute: bool = False) -> None:
        self._mute = mute
        self.hits: list[str] = []
        self.tally = Tally(self.hits.append)
        self.connection = Connection(LIMITS, self.tally, 0.0, self._request)
        self.told: list[str] = []
        self.written = bytearray()

    def receive(self, data: bytes) -> None:
        """Take bytes, answer them and check that everything is within its bounds."""
        self.connection.receive(data, 0.0)
        self.check()

    def check(self) -> None:
        """Nothing that is held grows without bound; what is written can be read."""
        for piece in self.connection.take_output():
            self.written += piece
        streams = self.connection.streams
        assert len(streams) <= LIMITS.concurrent_streams
        assert self.tally.buffered == sum(stream.queue.size for stream in streams)
        assert not (self.connection.closed and streams)
        assert all(0 <= stream.receive_window <= LIMITS.stream_window for stream in streams)

    def _request(self, stream: Stream, fields: Fields, ended: bool) -> None:
        self.told.append(f"request {stream.id} {fields!r} {ended}")
        stream.receiver = Recorder(stream, self._answer)
        if self._mute:
            return
        self.connection.respond(stream, ((b":status", b"200"),))
        if ended:
            self.connection.end(stream, ((b"grpc-status", b"0"),))

    def _answer(self, event: Event) -> None:
        stream: Stream = event.stream
        match event:
            case DataReceived(_, data, ended):
                self.told.append(f"data {stream.id} {data!r} {ended}")
                if self._mute:
                    return
                stream.behind = not stream.behind
                if not stream.choked:
                    self.connection.send(stream, [data])
                    self.connection.caught_up(stream)
                if ended:
                    self.connection.end(stream, ((b"grpc-status", b"0"),))
            case CreditReceived():
                assert not stream.choked
                self.connection.caught_up(stream)
            case StreamLost():
                self.told.append(f"lost {stream.id}")
        assert stream.queue.size <= LIMITS.send_queue_bytes + 400

    @property
    def last_words(self) -> list[tuple[int, ErrorCode]]:
        """Every GOAWAY: its last stream and code."""
        found = []
        for kind, _, _, payload in whole_frames(bytes(self.written)):
            if kind == frames.GOAWAY:
                found.append((frames.read_number(payload), ErrorCode(frames.read_number(payload[4:]))))
        return found


def serve(data: bytes, cuts: list[int], *, mute: bool = False) -> Server:
    """A server that got `data` cut at these places."""
    server = Server(mute=mute)
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        server.receive(data[start:end])
    return server
