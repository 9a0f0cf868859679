"""What a collection knows after lists and events."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.kubernetes.collection import Collection, Expired
from epp.kubernetes.pods import Pod, read_pod

KEYS = st.sampled_from(["type", "object", "metadata", "name", "labels", "status", "podIP", "conditions", "x"])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["ADDED", "DELETED", "ERROR"])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


class Thing(msgspec.Struct):
    size: int


def raw(name: str, size: Any, version: str = "1") -> msgspec.Raw:
    return msgspec.Raw(
        json.dumps({"metadata": {"name": name, "resourceVersion": version}, "size": size}).encode()
    )


def event(kind: str, name: str, size: Any = 0, version: str = "1") -> bytes:
    return b'{"type":"%s","object":%s}' % (kind.encode(), bytes(raw(name, size, version)))


@pytest.fixture
def things() -> Collection[Thing]:
    return Collection("things", lambda raw: msgspec.json.decode(raw, type=Thing))


def test_events_change_what_the_list_said(things: Collection[Thing]) -> None:
    assert not things.heard
    things.listed([raw("a", 1), raw("b", 2)])
    assert things.heard
    assert things.event(event("ADDED", "c", 3, "7")) == "7"
    assert things.event(event("MODIFIED", "a", 4, "8")) == "8"
    assert things.event(event("DELETED", "b", 2, "9")) == "9"
    assert things.event(event("BOOKMARK", "", 0, "10")) == "10"
    assert things.objects == {"a": Thing(4), "c": Thing(3)}


def test_a_second_list_is_one_reset(things: Collection[Thing]) -> None:
    things.listed([raw("a", 1), raw("b", 2)])
    before = things.changes
    things.listed([raw("b", 3), raw("c", 4)])
    assert things.objects == {"b": Thing(3), "c": Thing(4)}
    assert things.changes == before + 1


def test_what_is_said_again_is_no_change(things: Collection[Thing]) -> None:
    things.listed([raw("a", 1)])
    before = things.changes
    things.listed([raw("a", 1, "2")])
    things.event(event("MODIFIED", "a", 1, "3"))
    things.event(event("DELETED", "unknown", 1, "4"))
    assert things.changes == before


def test_a_kind_that_is_not_there_has_no_objects(things: Collection[Thing]) -> None:
    things.listed([raw("a", 1)])
    things.absent()
    assert things.heard
    assert things.objects == {}


def test_a_bad_object_is_passed_over_and_logged_once(
    things: Collection[Thing], caplog: pytest.LogCaptureFixture
) -> None:
    things.listed([raw("good", 1), raw("bad", "large"), raw("", 1)])
    assert things.objects == {"good": Thing(1)}
    things.listed([raw("good", 1), raw("bad", "large"), raw("", 1)])
    assert [record.message for record in caplog.records] == [
        "things bad is passed over: Expected `int`, got `str` - at `$.size`",
        "things  is passed over: an object without a name",
    ]


def test_a_bad_version_leaves_the_one_before(things: Collection[Thing]) -> None:
    things.listed([raw("a", 1)])
    assert things.event(event("MODIFIED", "a", "large", "5")) == "5"
    assert things.objects == {"a": Thing(1)}
    things.listed([raw("a", None, "6")])
    assert things.objects == {"a": Thing(1)}


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"type":"ADDED"}', b"\xff", b'{"type":1,"object":{}}'])
def test_a_line_that_is_no_event_says_nothing(things: Collection[Thing], line: bytes) -> None:
    assert things.event(line) == ""
    assert things.objects == {}


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_line_stops_a_watch(line: bytes) -> None:
    pods = Collection("pods", read_pod)
    with suppress(Expired):
        assert isinstance(pods.event(line), str)
    assert all(isinstance(pod, Pod) for pod in pods.objects.values())


def test_an_object_nested_without_end_is_passed_over(things: Collection[Thing]) -> None:
    deep = b'{"metadata":{"name":"a"},"size":1,"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    things.listed([msgspec.Raw(deep), raw("b", 1)])
    things.event(b'{"type":"ADDED","object":' + deep + b"}")
    assert things.objects == {"b": Thing(1)}


def test_a_watch_that_is_over_says_so(things: Collection[Thing]) -> None:
    with pytest.raises(Expired) as caught:
        things.event(b'{"type":"ERROR","object":{"kind":"Status","code":410}}')
    assert caught.value.status == 410


def test_faults_do_not_fill_memory(things: Collection[Thing], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    for number in range(5000):
        things.event(event("ADDED", f"bad-{number}", "large", str(number)))
    assert len(things._faulty) <= 1000
