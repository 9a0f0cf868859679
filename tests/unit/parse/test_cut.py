"""The first part of a JSON object: which members are whole, and what there is of the next."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.parse.cut import split_cut_object


@pytest.mark.parametrize(
    ("part", "whole", "name", "value"),
    [
        (b"", b"", "", b""),
        (b"[1", b"[1", "", b""),
        (b" {", b" {}", "", b""),
        (b'{"mod', b"{}", "", b""),
        (b'{"model"', b"{}", "", b""),
        (b'{"model": ', b"{}", "model", b""),
        (b'{"model": "m', b"{}", "model", b'"m'),
        (b'{"model": "m"', b"{}", "model", b'"m"'),
        (b'{"model": "m",', b'{"model": "m"}', "", b""),
        (b'{"model": "m" , "n": 12', b'{"model": "m"}', "n", b"12"),
        (b'{"n": 12, "prompt": "a \\', b'{"n": 12}', "prompt", b'"a \\'),
        (b'{"a": {"b": [1, "]}"]}, "c": [{"d": "', b'{"a": {"b": [1, "]}"]}}', "c", b'[{"d": "'),
        (b'{"a": "\xc3', b"{}", "a", b'"\xc3'),
        (b'{"a": ' + b"[" * 100_000, b"{}", "a", b"[" * 100_000),
    ],
)
def test_parts(part: bytes, whole: bytes, name: str, value: bytes) -> None:
    found = split_cut_object(part)
    assert (found[0], found[1], bytes(found[2])) == (whole, name, value)


@given(
    st.dictionaries(
        st.text("abc", min_size=1), st.text() | st.integers() | st.lists(st.text(max_size=3)), min_size=1
    ),
    st.data(),
)
def test_whole_members_are_those_of_the_object(fields: dict[str, Any], data: st.DataObject) -> None:
    body = json.dumps(fields, ensure_ascii=False).encode()
    part = body[: data.draw(st.integers(1, len(body) - 1))]
    whole, name, value = split_cut_object(part)
    members = json.loads(whole)
    assert list(members.items()) == list(fields.items())[: len(members)]
    assert part.endswith(bytes(value))
    if name:
        assert name == list(fields)[len(members)]
