"""HPACK (RFC 7541): header blocks to lists of fields, and back.

Reading goes through `hpack`, at 60 us for the ten fields of a request. A gateway sends the same block for
every request once the dynamic table has settled, so blocks are remembered, in a way that cannot be wrong:

    What a block says depends on its bytes and on the state of the dynamic table (RFC 7541, section 2.2).
    `_Table` counts every change of that state: insertions, evictions with them, changes of size. A block is
    remembered only if reading it left the count as it was, so nothing is lost when it is not read again, and
    only until the count changes, so the state is the same when it is looked up.

Writing uses no dynamic table at all: the first block of a connection says that its size is 0 (section 6.3),
which holds whatever size the peer allows or changes to. All blocks are then independent of each other, and
the few that a picker ever sends are made once for all connections.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from hpack import Decoder, Encoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from epp.transport.h2.frames import ErrorCode, H2ConnectionError

Fields = tuple[tuple[bytes, bytes], ...]

# A gateway sends few different blocks, one for each method and route.
_REMEMBERED = 64

# RFC 7541, section 4.1: what a field counts beside its name and value.
_FIELD_OVERHEAD = 32

# RFC 7541, section 6.3: "dynamic table size update" to 0.
NO_DYNAMIC_TABLE = b"\x20"


class HeaderBlock(NamedTuple):
    """A header block whose CONTINUATION frames have not all come (RFC 9113, section 6.10)."""

    stream_id: int
    ended: bool  # END_STREAM
    flaw: str  # of its HEADERS frame
    pieces: list[bytes]


class _Table(HeaderTable):
    """A dynamic table that counts its changes."""

    def __init__(self) -> None:
        self.changes = 0
        super().__init__()

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)

    @property
    def maxsize(self) -> int:
        return self._maxsize

    @maxsize.setter
    def maxsize(self, newmax: int) -> None:
        self.changes += 1
        # The library's own, which keeps the entries within the size.
        HeaderTable.maxsize.__set__(self, newmax)  # type: ignore[attr-defined]


class HeaderReader:
    """Reads the header blocks of one connection, in their order."""

    def __init__(self, max_list_bytes: int) -> None:
        """`max_list_bytes` bounds what a block may grow to; it protects memory, and costs the connection."""
        self._decoder = Decoder(max_list_bytes)
        self._table = self._decoder.header_table = _Table()
        self._known: dict[bytes, Fields] = {}
        self._known_at = 0  # the count of changes for which they are known

    def read(self, block: bytes) -> Fields:
        """The fields of a whole block. Raises H2ConnectionError: the table is then out of step (4.3)."""
        before = self._table.changes
        if before != self._known_at:
            self._known.clear()
            self._known_at = before
        elif (known := self._known.get(block)) is not None:
            return known
        fields = self._decode(block)
        if self._table.changes == before and len(self._known) < _REMEMBERED:
            self._known[block] = fields
        return fields

    def _decode(self, block: bytes) -> Fields:
        try:
            # The library's fields are tuples of a class of its own.
            return tuple([(name, value) for name, value in self._decoder.decode(block, raw=True)])
        except OversizedHeaderListError as error:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header list far too large") from error
        except (HPACKError, IndexError) as error:
            raise H2ConnectionError(
                ErrorCode.COMPRESSION_ERROR, "a header block that cannot be read"
            ) from error


def list_size(fields: Fields) -> int:
    """What SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113, section 6.5.2)."""
    return sum([len(name) + len(value) for name, value in fields]) + _FIELD_OVERHEAD * len(fields)


@lru_cache(maxsize=256)  # statuses with their messages; those of faults may vary
def header_block(fields: Fields) -> bytes:
    """The block of these fields for a peer that was told of `NO_DYNAMIC_TABLE`."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode(fields)[len(NO_DYNAMIC_TABLE) :]
