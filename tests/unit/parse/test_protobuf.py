"""Fields of a message in bytes, beside the reference implementation."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from epp.parse.protobuf import read_message, read_varint


def fields(message: bytes, *, complete: bool = True) -> list[tuple[int, int | bytes]]:
    found = read_message(memoryview(message), complete=complete)
    return [(number, value if isinstance(value, int) else bytes(value)) for number, value in found]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"", []),
        (b"\x08\x96\x01", [(1, 150)]),  # the specification's own examples
        (b"\x12\x07testing", [(2, b"testing")]),
        (b"\x1a\x03\x08\x96\x01", [(3, b"\x08\x96\x01")]),
        (b"\x0d\x01\x02\x03\x04\x08\x01", [(1, b"\x01\x02\x03\x04"), (1, 1)]),
        (b"\x09" + b"\x00" * 8, [(1, b"\x00" * 8)]),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", [(1, 2**64 - 1)]),
        (b"\xa2\x06\x00", [(100, b"")]),
    ],
)
def test_fields(message: bytes, found: list[tuple[int, int | bytes]]) -> None:
    assert fields(message) == found


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (b"\x08", "within a number"),
        (b"\x08\x96", "within a number"),
        (b"\x12\x07test", "within a value"),
        (b"\x0d\x01", "within a value"),
        (b"\x0b", "wire type 3"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than 64 bits"),
    ],
)
def test_what_is_no_message(message: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        fields(message)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"\x08\x01\x12\x07test", [(1, 1), (2, b"test")]),
        (b"\x08\x01\x12", [(1, 1)]),
        (b"\x08\x01\x12\x87", [(1, 1)]),
        (b"\x08", []),
    ],
)
def test_the_first_part_of_a_message(message: bytes, found: list[tuple[int, int | bytes]]) -> None:
    assert fields(message, complete=False) == found


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5), st.lists(st.integers(0, 2**31 - 1)))
def test_what_the_reference_implementation_writes(name: str, needs: list[str], public: list[int]) -> None:
    file = descriptor_pb2.FileDescriptorProto(name=name, dependency=needs, public_dependency=public)
    written: list[tuple[int, int | bytes]] = [
        (1, name.encode()),
        *((3, each.encode()) for each in needs),
        *((10, each) for each in public),
    ]
    assert fields(file.SerializeToString()) == written


@given(st.binary(max_size=40), st.booleans())
def test_nothing_but_value_errors(message: bytes, complete: bool) -> None:
    try:
        fields(message, complete=complete)
    except ValueError:
        return


def test_a_number_that_is_cut() -> None:
    with pytest.raises(IndexError):
        read_varint(memoryview(b"\x80"), 0)
