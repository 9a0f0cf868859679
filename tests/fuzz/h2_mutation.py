"""Changes clients of HTTP/2 frame by frame, so that most of what comes out is still understood."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hpack import Encoder

from epp.transport.h2 import frames
from epp.transport.h2.frames import ErrorCode, Setting
from tests.fuzz.h2_client import LIMITS, SEED

_GREETING = frames.PREFACE + frames.settings_frame({})
_IDS = (1, 1, 3, 5, 7, 9, 11, 0, 2, frames.MAX_STREAM_ID)
_FLAGS = (0, 1, 4, 5, 8, 9, 0x0C, 0x0D, 0x20, 0x24, 0x2D)
_FIELDS = [(":method", "POST"), (":scheme", "http"), (":path", "/a/B")]
_GRPC = [*_FIELDS, ("content-type", "application/grpc"), ("te", "trailers")]


def _blocks() -> tuple[bytes, ...]:
    """Header blocks that go on from each other, and some that cannot be read."""
    encoder = Encoder()
    inserting = encoder.encode(_GRPC)
    again = encoder.encode(_GRPC)  # indexes into the dynamic table
    encoder.header_table_size = 100
    smaller = encoder.encode([*_GRPC, ("grpc-timeout", "20m"), ("grpc-encoding", "gzip")])
    return (
        *(inserting, again, smaller),
        b"\x83\x86\x84",  # POST http /
        b"\x82\x86\x84\x5f\x10application/grpc",
        b"\x83\x86\x84\x5c\x0240",  # content-length: 40
        b"\x20\x83\x86\x84",  # empties the table
        b"\x3f\xe1\x1f\x83\x86\x84",  # and gives it its size back
        b"\x83\x86\x84\x00\x01x\x7f\xd1\x02" + b"y" * 464,  # over the announced size
        b"\x00\x01a\x01b",  # a field that trailers may have
        b"\x83\x86",  # no path
        b"\xff\xff\xff\xff\xff\x0f",  # an index far too large
        b"\x83\x86\x84\x00\x81\xff\x01b",  # broken Huffman code
    )


BLOCKS = _blocks()
_CALLS = (
    b"",
    b"\0\0\0\0\x05hello",
    b"\0\0\0\0\x05hel",
    b"lo",
    b"\x01\0\0\0\x03abc",
    b"\0\0\1\0\0",
    b"x" * 300,
)
_NUMBERS = (0, 1, 10, 100, 16_383, 16_384, 65_535, 65_536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)

Rewrite = Callable[[bytes], bytes]


def pieces(sent: bytes) -> list[bytes]:
    """What a client sends as its preface and frames, cut by their lengths; the last may be incomplete."""
    found = []
    if sent.startswith(frames.PREFACE):
        found.append(frames.PREFACE)
    at = len(b"".join(found))
    while at < len(sent):
        end = at + frames.FRAME_HEAD + int.from_bytes(sent[at : at + 3], "big")
        found.append(sent[at:end])
        at = end
    return found


def new_frame(rng: Random) -> bytes:
    """One of any kind, mostly sensible."""
    kind = rng.choice((*range(10), frames.HEADERS, frames.DATA, frames.DATA, rng.randrange(256)))
    stream_id, flags = rng.choice(_IDS), rng.choice(_FLAGS)
    number = rng.choice(_NUMBERS).to_bytes(4, "big")
    match kind:
        case frames.DATA:
            payload = rng.choice(_CALLS)
        case frames.HEADERS | frames.CONTINUATION:
            payload = rng.choice(BLOCKS)
            if rng.random() < 0.2:
                at = rng.randrange(len(payload))
                head = frames.frame(frames.HEADERS, flags & ~frames.END_HEADERS, stream_id, payload[:at])
                return head + frames.frame(
                    frames.CONTINUATION, rng.choice((4, 4, 0)), stream_id, payload[at:]
                )
            flags = rng.choice((4, 5, 5, flags))
        case frames.PRIORITY:
            payload = number + b"\x10"
        case frames.RST_STREAM:
            payload = rng.choice(list(ErrorCode)).to_bytes(4, "big")
        case frames.SETTINGS:
            flags, stream_id = rng.choice((0, 0, 0, 1)), rng.choice((0, 0, 0, 1))
            items = [(rng.choice(list(Setting)), rng.choice(_NUMBERS)) for _ in range(rng.randrange(3))]
            payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in items)
        case frames.PING:
            stream_id, payload = rng.choice((0, 0, 1)), rng.choice((b"draining", b"alive?  ", b"x" * 7))
        case frames.GOAWAY:
            stream_id, payload = 0, number * 2
        case _:
            payload = number
    return frames.frame(kind, flags, stream_id, padded(payload, rng) if flags & frames.PADDED else payload)


def padded(payload: bytes, rng: Random) -> bytes:
    """With padding, the length of which is sometimes wrong."""
    size = rng.randrange(10)
    return bytes([size + rng.choice((0, 0, 0, 200))]) + payload + bytes(size)


def mutate(client: bytes, longest: int, seed: int, rewrite: Rewrite) -> bytes:
    """Another client much like this one. `rewrite` changes any bytes at random."""
    rng = Random(seed)
    head, parts = client[:SEED].ljust(SEED, b"\0"), pieces(client[SEED:]) or [_GREETING]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(parts))
        match rng.randrange(10):
            case 0:
                head = rng.randbytes(SEED)
            case 1:
                del parts[at]
                parts = parts or [_GREETING]
            case 2:
                parts[at:at] = [parts[at]] * rng.choice((1, 2, 13))
            case 3:
                other = rng.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case 4:
                parts[at] = rewrite(parts[at])
            case 5 | 6:
                parts[at] = _changed(parts[at], rng, rewrite)
            case _:
                parts.insert(at + 1, new_frame(rng))
    return (head + b"".join(parts))[:longest]


def _changed(part: bytes, rng: Random, rewrite: Rewrite) -> bytes:
    """A frame with another flag, stream or payload; its length stays right."""
    if len(part) < frames.FRAME_HEAD or part == frames.PREFACE:
        return part
    kind, flags = part[3], part[4]
    stream_id = int.from_bytes(part[5:9], "big") & frames.MAX_STREAM_ID
    payload = part[frames.FRAME_HEAD :]
    match rng.randrange(4):
        case 0:
            flags ^= 1 << rng.randrange(8)
        case 1:
            stream_id = rng.choice(_IDS)
        case 2:
            payload = payload[: rng.randrange(len(payload) + 1)]
        case 3:
            payload = rewrite(payload)[: LIMITS.frame_bytes]
    return frames.frame(kind, flags, stream_id, payload)


def _floods() -> tuple[bytes, ...]:
    """Clients that do one thing far too often."""
    ids = range(1, 31, 2)
    opened = [frames.frame(frames.HEADERS, frames.END_HEADERS, number, BLOCKS[3]) for number in ids]
    block = frames.frame(frames.HEADERS, 0, 1, BLOCKS[3])
    return (
        b"".join(opened),
        b"".join(
            head + frames.rst_stream_frame(id, ErrorCode.CANCEL) for id, head in zip(ids, opened, strict=True)
        ),
        block + frames.frame(frames.CONTINUATION, 0, 1, b"") * 5,
        block + frames.frame(frames.CONTINUATION, 0, 1, BLOCKS[8]) * 3,
        frames.ping_frame(b"draining", ack=False) * 14,
        frames.settings_frame({}) * 14,
        opened[0] + frames.frame(frames.DATA, 0, 1, b"") * 14,
        opened[0] + frames.window_update_frame(1, 1) * 14,
    )


def first_clients(seed: int) -> list[bytes]:
    """Clients to begin with: floods, and such as open a stream and say something on it."""
    rng = Random(seed)
    clients = [rng.randbytes(SEED) + _GREETING + flood for flood in _floods() for _ in range(3)]
    for _ in range(300):
        said = [new_frame(rng) for _ in range(rng.randrange(1, 6))]
        opening = frames.frame(frames.HEADERS, rng.choice((4, 4, 5)), 1, BLOCKS[0])
        clients.append(rng.randbytes(SEED) + _GREETING + opening + b"".join(said))
    return clients
