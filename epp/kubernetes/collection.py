"""The objects of one kind as they were last heard of, each by its name in the namespace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from epp.errors import ConfigError

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Objects whose faults are remembered, so that they are logged once: more than anybody breaks by hand.
_REMEMBERED = 1000


# How a reader says that it cannot read an object; the last one for values nested as deep as Go lets them be.
_UNREADABLE = (msgspec.MsgspecError, ConfigError, UnicodeDecodeError, RecursionError)


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    resource_version: str = ""


class _Head(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    code: int = 0  # of a Status, which stands in an event ERROR


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class Expired(Exception):  # noqa: N818 - the word of the API for it
    """A watch said that it cannot go on; `status` as an HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the watch ended with status {status}")
        self.status = status


class Collection(Generic[T]):
    """Objects of the kind `kind`, read by `read`, which raises ConfigError or a msgspec error at a bad one.

    An object that cannot be read is logged once and otherwise as if nothing had been said of it: its version
    before stays. `changes` counts whatever changed what is known.
    """

    def __init__(self, kind: str, read: Callable[[msgspec.Raw], T]) -> None:
        self.kind = kind
        self.objects: dict[str, T] = {}
        self.heard = False  # whether it is known what there is
        self.changes = 0
        self._read = read
        self._faulty: dict[str, str] = {}  # name to version

    def __repr__(self) -> str:
        return f"<Collection {self.kind}: {len(self.objects)}>"

    def listed(self, objects: Iterable[msgspec.Raw]) -> None:
        """These are all there are."""
        found: dict[str, T] = {}
        for raw in objects:
            head = _head(raw)
            value = self._value(head, raw)
            if value is not None:
                found[head.metadata.name] = value
        if found != self.objects or not self.heard:
            self.objects = found
            self.changes += 1
        self.heard = True

    def absent(self) -> None:
        """There are none, because there is no such kind here."""
        self.listed(())

    def event(self, line: bytes) -> str:
        """One line of a watch. Returns the version that it brings; "" for a line that says nothing.

        Expired if it says that the watch is over.
        """
        try:
            event = msgspec.json.decode(line, type=_Event)
        except _UNREADABLE as error:
            self._complain("", "", f"a line of the watch is no event: {error}")
            return ""
        head = _head(event.object)
        if event.type == "ERROR":
            raise Expired(head.code)
        if event.type in ("ADDED", "MODIFIED"):
            self._put(head, event.object)
        elif event.type == "DELETED" and self.objects.pop(head.metadata.name, None) is not None:
            self.changes += 1
        return head.metadata.resource_version

    def _put(self, head: _Head, raw: msgspec.Raw) -> None:
        value = self._value(head, raw)
        # An object may change in what nobody reads here, and often does: status, heartbeats, managed fields.
        if value is not None and self.objects.get(head.metadata.name) != value:
            self.objects[head.metadata.name] = value
            self.changes += 1

    def _value(self, head: _Head, raw: msgspec.Raw) -> T | None:
        """The object; the version before, or None, if this one cannot be read."""
        name = head.metadata.name
        if not name:
            self._complain("", head.metadata.resource_version, "an object without a name")
            return None
        try:
            value = self._read(raw)
        except _UNREADABLE as error:
            self._complain(name, head.metadata.resource_version, str(error))
            return self.objects.get(name)
        self._faulty.pop(name, None)
        return value

    def _complain(self, name: str, version: str, message: str) -> None:
        if self._faulty.get(name) == version:
            return
        if len(self._faulty) >= _REMEMBERED:
            self._faulty.clear()
        self._faulty[name] = version
        _log.warning("%s %s is passed over: %s", self.kind, name, message)


def _head(raw: msgspec.Raw) -> _Head:
    try:
        return msgspec.json.decode(raw, type=_Head)
    except _UNREADABLE:
        return _Head()
