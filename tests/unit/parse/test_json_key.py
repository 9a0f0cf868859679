"""Finding a key in whole data, and what has to be remembered where the data is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.parse.json_key import JsonKey

USAGE = JsonKey("usage")


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (b'{"usage":1}', 9),
        (b'{"usage" \r\n:\t "x"}', 14),
        (b'{"a":"usage","usage":1}', 21),
        (b'{"usage":{"usage":1}}', 9),
        (b'"usage", "usage": x', 18),
    ],
)
def test_finds_the_value(data: bytes, position: int) -> None:
    assert USAGE.find(data, 0) == (position, b"")


@pytest.mark.parametrize(
    ("data", "context"),
    [
        (b"", b""),
        (b"{}", b""),
        (b'{"usages":1}', b""),
        (b'{"x\\"usage":1}', b""),
        (b'{\\"usage\\":1}', b""),
        (b'["usage"]', b""),
        (b'{"', b'"'),
        (b'{"us', b'"us'),
        (b'{"usage"', b'"usage"'),
        (b'{"usage" \n ', b'"usage"'),
        (b'{"usage" : \n ', b'"usage":'),
        (b'{"x\\', b"\\"),
        (b'{"x\\"', b""),
        (b'{"x\\"us', b""),
    ],
)
def test_finds_none_and_says_what_to_remember(data: bytes, context: bytes) -> None:
    assert USAGE.find(data, 0) == (-1, context)


fragments = st.lists(
    st.sampled_from(
        [b'"usage"', b'"', b"usage", b"us", b"age", b":", b" ", b"\n", b"\\", b"{", b"1", b'"usage":1']
    )
).map(b"".join)


def values(data: bytes) -> list[int]:
    """Where the values stand."""
    found, at = [], 0
    while at >= 0:
        at, _ = USAGE.find(data, at)
        if at >= 0:
            found.append(at)
    return found


@given(fragments, st.data())
def test_the_context_stands_for_all_that_came_before(data: bytes, draw: st.DataObject) -> None:
    cut = draw.draw(st.integers(0, len(data)))
    first, second = data[:cut], data[cut:]
    last = (values(first) or [0])[-1]
    _, context = USAGE.find(first, last)
    shift = cut - len(context)
    assert values(first) + [at + shift for at in values(context + second)] == values(data)
    assert len(context) <= len(b'"usage":')
