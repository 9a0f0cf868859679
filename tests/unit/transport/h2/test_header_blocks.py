"""Header blocks remembered and not: the same as a decoder without a memory, whatever the table did."""

from collections.abc import Sequence
from typing import Any

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from epp.transport.h2.frames import ErrorCode, H2ConnectionError
from epp.transport.h2.header_blocks import NO_DYNAMIC_TABLE, HeaderReader, header_block, list_size

POST = (b":method", b"POST")
GATEWAY = [(":method", "POST"), (":path", "/x"), ("te", "trailers"), ("x-request", "1")]

# Few names and values, so that blocks come again while the table has become another; and blocks of bytes
# that mean something else at each state of the table.
_TEXT = st.sampled_from(["a", "b", "c" * 40])
_FIELDS = st.lists(st.tuples(_TEXT, _TEXT, st.booleans()), max_size=4)
_OPERATIONS = st.lists(
    st.one_of(
        _FIELDS,
        st.sampled_from(
            [b"\xbe", b"\xbf\xbe", b"\x20", b"\x3f\x30", b"\x3f\xe1\x1f", b"\x82", b"\x40\1a\1z\xbe"]
        ),
    ),
    max_size=30,
)


def read(reader: Any, block: bytes) -> Any:
    try:
        if isinstance(reader, HeaderReader):
            return reader.read(block)
        return tuple((name, value) for name, value in reader.decode(block, raw=True))
    except Exception:
        return None


@given(_OPERATIONS)
def test_memory_changes_nothing(operations: Sequence[Any]) -> None:
    encoder, reader, plain = Encoder(), HeaderReader(1 << 16), Decoder(1 << 16)
    for operation in operations:
        block = operation if isinstance(operation, bytes) else encoder.encode(operation)
        for _ in range(2):
            expected = read(plain, block)
            assert read(reader, block) == expected
            if expected is None:
                return  # the connection is over


def test_same_block_is_read_once_while_the_table_stands() -> None:
    encoder, reader = Encoder(), HeaderReader(1 << 16)
    first = reader.read(encoder.encode(GATEWAY))  # inserts
    block = encoder.encode(GATEWAY)  # all by index
    second = reader.read(block)
    assert second == first
    assert reader.read(block) is second
    reader.read(encoder.encode([("x-request", "2")]))  # inserts: the indexes now mean other fields
    assert reader.read(block) != second


def test_block_that_inserts_is_read_each_time() -> None:
    reader, plain = HeaderReader(1 << 16), Decoder()
    insert = b"\x40\1a\1b"
    for _ in range(3):
        reader.read(insert)
        plain.decode(insert)
    assert reader.read(b"\xbe\xbf\xc0") == ((b"a", b"b"),) * 3
    assert len(plain.decode(b"\xbe\xbf\xc0")) == 3


def test_memory_is_bounded() -> None:
    reader = HeaderReader(1 << 16)
    for number in range(1000):
        reader.read(b"\0\1a\4%04d" % number)
    assert len(reader._known) == 64


def test_list_that_grows_too_large() -> None:
    with pytest.raises(H2ConnectionError) as caught:
        HeaderReader(100).read(b"\x82" * 3)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


def test_our_blocks_are_independent_of_each_other() -> None:
    decoder = Decoder()
    decoder.decode(NO_DYNAMIC_TABLE)
    fields = ((b":status", b"200"), (b"content-type", b"application/grpc"))
    for _ in range(2):
        assert tuple(map(tuple, decoder.decode(header_block(fields), raw=True))) == fields


def test_list_size_counts_32_a_field() -> None:
    assert list_size(((b"ab", b"c"), POST)) == 3 + 11 + 64
