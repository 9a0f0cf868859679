"""A client at the pure core of HTTP/2: sends any bytes and tells what it heard, one line a frame.

What it reads goes through `hyperframe` and `hpack`, not through our own reader of frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from epp.transport.h2 import frames
from epp.transport.h2.connection import Connection
from epp.transport.h2.frames import ErrorCode, Setting
from epp.transport.h2.header_blocks import Fields
from epp.transport.h2.limits import Limits, Tally
from epp.transport.h2.stream import Stream

Field = tuple[str, str]

METHOD, SCHEME, PATH, AUTHORITY = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a/B"),
    (":authority", "x"),
)
REQUEST: tuple[Field, ...] = (METHOD, SCHEME, PATH, AUTHORITY)

# Responses of a server: their fields, as `Connection` takes them.
OK = ((b":status", b"200"),)
TRAILERS = ((b"grpc-status", b"0"),)


class RequestReceived(NamedTuple):
    """What `on_request` was told."""

    stream: Stream
    fields: Fields
    ended: bool


class DataReceived(NamedTuple):
    """What a stream's receiver was told with `received`."""

    stream: Stream
    data: bytes
    ended: bool


class CreditReceived(NamedTuple):
    """What it was told with `resumed`."""

    stream: Stream


class StreamLost(NamedTuple):
    """What it was told with `lost`."""

    stream: Stream


Event = RequestReceived | DataReceived | CreditReceived | StreamLost


class Recorder:
    """A receiver that notes what it is told."""

    def __init__(self, stream: Stream, note: Callable[[Event], object]) -> None:
        self.stream = stream
        self.note = note

    def received(self, data: bytes, start: int, end: int, ended: bool) -> None:
        self.note(DataReceived(self.stream, data[start:end], ended))

    def resumed(self) -> None:
        self.note(CreditReceived(self.stream))

    def lost(self) -> None:
        self.note(StreamLost(self.stream))


class Peer:
    """A client whose connection is open. `limits` are the server's, where they differ from the defaults."""

    def __init__(self, limits: Limits | None = None, *, greet: bool = True) -> None:
        self.hits: list[str] = []
        self.tally = Tally(self.hits.append)
        self.now = 0.0
        self.limits = limits or Limits()
        self.connection = Connection(self.limits, self.tally, self.now, self.on_request)
        self._events: list[Event] = []
        self.streams: dict[int, Stream] = {}
        self._encoder = Encoder()
        self._decoder = Decoder()
        if greet:
            self.send(frames.PREFACE, frames.settings_frame({}))
            self.hear()

    def send(self, *pieces: bytes) -> list[Event]:
        """Send bytes in one piece; what the server makes of them."""
        self.connection.receive(b"".join(pieces), self.now)
        return self.happened()

    def on_request(self, stream: Stream, fields: Fields, ended: bool) -> None:
        """The server's layer above: notes all that it is told."""
        self.streams[stream.id] = stream
        stream.receiver = Recorder(stream, self._events.append)
        self._events.append(RequestReceived(stream, fields, ended))

    def happened(self) -> list[Event]:
        """What the layer above was told since."""
        events = self._events[:]
        self._events.clear()
        return events

    def block(self, fields: Iterable[Field] = REQUEST) -> bytes:
        """A header block, in step with the server's table if all of them are sent."""
        return self._encoder.encode(list(fields))

    def request(
        self, stream_id: int = 1, fields: Iterable[Field] = REQUEST, *, end: bool = False, flags: int = 0
    ) -> bytes:
        """HEADERS that begin a request."""
        flags |= frames.END_HEADERS | (frames.END_STREAM if end else 0)
        return frames.frame(frames.HEADERS, flags, stream_id, self.block(fields))

    def hear(self) -> list[str]:
        """What the server has written since, one line a frame."""
        return self.read(b"".join(map(bytes, self.connection.take_output())))

    def read(self, data: bytes) -> list[str]:
        """Whole frames, one line each."""
        lines = []
        while data:
            frame, length = Frame.parse_frame_header(memoryview(data[:9]))
            frame.parse_body(memoryview(data[9 : 9 + length]))
            data = data[9 + length :]
            lines.append(self._line(frame))
        return lines

    def _line(self, frame: Frame) -> str:
        end = " END" if "END_STREAM" in frame.flags else ""
        ack = " ACK" if "ACK" in frame.flags else ""
        match frame:
            case DataFrame():
                return f"DATA {frame.stream_id} {len(frame.data)}{end}"
            case HeadersFrame():
                fields = " ".join(f"{name}={value}" for name, value in self._decoder.decode(frame.data))
                return f"HEADERS {frame.stream_id} {fields}{end}"
            case RstStreamFrame():
                return f"RST_STREAM {frame.stream_id} {ErrorCode(frame.error_code).name}"
            case GoAwayFrame():
                return f"GOAWAY {frame.last_stream_id} {ErrorCode(frame.error_code).name}"
            case SettingsFrame():
                return f"SETTINGS{ack}"
            case PingFrame():
                return f"PING{ack} {frame.opaque_data.decode('latin-1')}"
            case WindowUpdateFrame():
                return f"WINDOW_UPDATE {frame.stream_id} {frame.window_increment}"
        raise AssertionError(frame)

    @property
    def closing(self) -> str:
        """The code of the GOAWAY that ended the connection; "" while it lives."""
        lines = [line for line in self.hear() if line.startswith("GOAWAY")]
        assert bool(lines) == self.connection.closed
        return lines[-1].split()[2] if lines else ""


def whole_frames(data: bytes, largest: int = 1 << 24) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, stream and payload of each frame, up to one that is not whole or larger than `largest`."""
    at = 0
    while len(data) - at >= 9:
        start, end = at + 9, at + 9 + int.from_bytes(data[at : at + 3], "big")
        if end > len(data) or end - start > largest:
            return
        stream_id = int.from_bytes(data[at + 5 : start], "big") & frames.MAX_STREAM_ID
        yield data[at + 3], data[at + 4], stream_id, data[start:end]
        at = end


def data(stream_id: int, payload: bytes, flags: int = 0) -> bytes:
    """A DATA frame."""
    return frames.frame(frames.DATA, flags, stream_id, payload)


def settings(*items: tuple[Setting, int]) -> bytes:
    """A SETTINGS frame in which one setting may stand twice."""
    payload = b"".join(setting.to_bytes(2, "big") + value.to_bytes(4, "big") for setting, value in items)
    return frames.frame(frames.SETTINGS, 0, 0, payload)


def received(events: Sequence[Event]) -> list[str]:
    """Events, one line each."""
    lines = []
    for event in events:
        match event:
            case RequestReceived(stream, _, ended):
                lines.append(f"request {stream.id}{' END' if ended else ''}")
            case DataReceived(stream, piece, ended):
                lines.append(f"data {stream.id} {piece!r}{' END' if ended else ''}")
            case StreamLost(stream):
                lines.append(f"lost {stream.id}")
            case _:
                lines.append(f"credit {event.stream.id}")
    return lines
