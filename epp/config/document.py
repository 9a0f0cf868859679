"""A YAML or JSON text as a tree whose every node knows its line, so that a fault can say where it is.

JSON is read as the YAML that it is. Scalars are told apart by YAML 1.2's core schema, which is JSON's: true
and false are booleans, while yes, on, 010, 1_000 and 12:30 are text. Left out, because a configuration needs
none of it and each opens a door: tags, and aliases, with which a short text stands for a huge tree. Text,
nesting and number of documents are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from epp.errors import ConfigError, Fault

# A ConfigMap holds 1 MiB, and a pool of 5,000 endpoints with labels is about as large; both have room here.
MAX_BYTES = 4 * 1024 * 1024

# The pool file nests 4 deep, an EndpointPickerConfig with structured parameters 8; the rest is for plugins.
# Low enough that reading by recursion is safe.
MAX_DEPTH = 64

# libyaml, which every wheel of PyYAML has: many times as fast as its Python twin, for files read beside live
# traffic, and it takes tabs between the tokens of JSON.
_Loader = yaml.CSafeLoader

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# At most 40 digits: longer ones fit no field, and Python would refuse to read the longest.
_INT = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,39})")
_FLOAT = re.compile(r"[+-]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][+-]?[0-9]+)?")

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """Text, a number, true or false, or nothing."""

    line: int
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ListNode:
    """Items in their order."""

    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapNode:
    """Values by key; `key_lines` tells where each key stands."""

    line: int
    entries: Mapping[str, Node]
    key_lines: Mapping[str, int]


Node = ScalarNode | ListNode | MapNode


class Faults:
    """The faults found so far in one file, and the warnings: what is odd, but does no harm.

    `tolerant`: a key that nobody knows is a warning, unless it is a known one mistyped.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Fault] = []
        self.warnings: list[Fault] = []
        self.tolerant = False

    def __repr__(self) -> str:
        return f"<Faults {self.file} found={len(self.found)}>"

    def add(self, line: int, path: str, message: str) -> None:
        """Notes one; `path` as `child_path` and `item_path` make it."""
        self.found.append(Fault(self.file, line, path, message))

    def warn(self, line: int, path: str, message: str) -> None:
        """Notes a warning."""
        self.warnings.append(Fault(self.file, line, path, message))

    @contextmanager
    def tolerating(self) -> Iterator[None]:
        """Is tolerant for a while."""
        before, self.tolerant = self.tolerant, True
        try:
            yield
        finally:
            self.tolerant = before

    def raise_any(self) -> None:
        """ConfigError with all faults in the order of their lines; nothing, if there are none."""
        if self.found:
            raise ConfigError(sorted(self.found, key=lambda fault: fault.line))


def child_path(path: str, key: str) -> str:
    """The path of `key` in the map at `path`."""
    if not _PLAIN_KEY.fullmatch(key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def item_path(path: str, index: int) -> str:
    """The path of an item in the list at `path`."""
    return f"{path}[{index}]"


def read_text(path: Path, file: str) -> str:
    """The text of a UTF-8 file of at most MAX_BYTES; ConfigError if there is none."""
    faults = Faults(file)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            faults.add(0, "", f"is larger than {MAX_BYTES} bytes")
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        faults.add(data.count(b"\n", 0, error.start) + 1, "", "is not UTF-8 text")
    except OSError as error:
        faults.add(0, "", f"cannot be read: {error.strerror}")
    faults.raise_any()
    return text


def parse_document(text: str, faults: Faults) -> Node | None:
    """The tree of the one document in `text`; None if it has none that can be read."""
    if len(text) > MAX_BYTES:
        faults.add(0, "", f"is larger than {MAX_BYTES} bytes")
        return None
    try:
        return _Composer(yaml.parse(text, Loader=_Loader), faults).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        faults.add(mark.line + 1 if mark else 0, "", error.problem or error.context or "is no YAML")
    except yaml.reader.ReaderError as error:
        faults.add(text.count("\n", 0, error.position) + 1, "", error.reason)
    except _TooDeepError as error:
        faults.add(error.line, "", f"is nested more than {MAX_DEPTH} deep")
    return None


def plain(node: Node) -> Any:
    """The tree as dict, list and scalars."""
    if isinstance(node, MapNode):
        return {key: plain(value) for key, value in node.entries.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value


class _TooDeepError(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


class _Composer:
    """Makes nodes of the parser's events, and faults of what is not wanted."""

    def __init__(self, events: Iterator[Any], faults: Faults) -> None:
        self._events = events
        self._faults = faults

    def document(self) -> Node | None:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            self._faults.add(0, "", "is empty")
            return None
        root = self._node(next(self._events), "", 0)
        next(self._events)  # the document's end
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            self._faults.add(
                _line(following), "", "a second document begins here; only one may stand in a file"
            )
        return root

    def _node(self, event: Any, path: str, depth: int) -> Node:
        line = _line(event)
        if depth > MAX_DEPTH:
            raise _TooDeepError(line)
        if isinstance(event, yaml.AliasEvent):
            self._faults.add(
                line, path, f"*{event.anchor} is an alias, which is not taken; write the value out"
            )
            return ScalarNode(line, None)
        if event.tag is not None:
            self._faults.add(line, path, f"{event.tag} is a tag, which is not taken")
        if isinstance(event, yaml.MappingStartEvent):
            return self._map(line, path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(line, path, depth)
        return ScalarNode(line, scalar_of(event.value) if event.implicit[0] else event.value)

    def _list(self, line: int, path: str, depth: int) -> ListNode:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, item_path(path, len(items)), depth + 1))
        return ListNode(line, tuple(items))

    def _map(self, line: int, path: str, depth: int) -> MapNode:
        entries: dict[str, Node] = {}
        key_lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = event.value if isinstance(event, yaml.ScalarEvent) else None
            if key is None:
                self._faults.add(_line(event), path, "a key has to be text")
                self._node(event, path, depth + 1)
            elif key in entries:
                first = key_lines[key]
                self._faults.add(
                    _line(event), child_path(path, key), f"stands here again, after line {first}"
                )
            value = self._node(next(self._events), child_path(path, key or ""), depth + 1)
            if key is not None and key not in entries:
                entries[key], key_lines[key] = value, _line(event)
        return MapNode(line, entries, key_lines)


def scalar_of(text: str) -> str | int | float | bool | None:
    """What `text` means where it stands without quotes."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
