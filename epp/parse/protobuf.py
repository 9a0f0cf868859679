"""Protocol buffers messages as they stand in bytes: field numbers and undecoded values.

For bodies of which a few fields are wanted and the large ones, a prompt's token ids, only as bytes; generated
code would make a number of each. Encoding: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_MAX_VARINT = 10  # bytes of a 64-bit number


def read_message(message: memoryview, *, complete: bool = True) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field: an int for a varint, a view for everything else.

    Not `complete`: only the first part of the message is here, and a value that is cut is the last. Raises
    ValueError where the bytes are no message.
    """
    at, end = 0, len(message)
    while at < end:
        try:
            key, at = read_varint(message, at)
            kind = key & 7
            if kind == _VARINT:
                value, at = read_varint(message, at)
                yield key >> 3, value
                continue
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
            if kind == _BYTES:
                size, at = read_varint(message, at)
            elif not size:
                raise ValueError(f"no field has the wire type {kind}")
        except IndexError:
            if complete:
                raise ValueError("cut off within a number") from None
            return
        if at + size > end and complete:
            raise ValueError("cut off within a value")
        yield key >> 3, message[at : at + size]
        at += size


def read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """(the number that begins at `at`, where it ends); IndexError if it is cut, ValueError if it is none."""
    value = 0
    for index in range(_MAX_VARINT):
        byte = message[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise ValueError("a number of more than 64 bits")
