"""Names within one document: each given once, and each that is referred to given somewhere."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from epp.config.catalogue import Kind
from epp.config.constraints import quote
from epp.config.document import Faults, ListNode, MapNode, Node, ScalarNode, child_path, item_path
from epp.config.fields import Place, fields_of
from epp.config.schema import LISTS, optional_of


@dataclass(frozen=True, slots=True)
class RefersTo:
    """A text that names a plugin of one of these kinds; of any kind if there are none."""

    kinds: frozenset[Kind] = frozenset()

    def objection(self, value: str) -> None:
        """See Constraint. What a document defines is known when all of it was read."""


@dataclass(frozen=True, slots=True)
class NamesType:
    """A text that is the name of a plugin type."""

    def objection(self, value: str) -> None:
        """See Constraint. Which types there are, is known to the catalogue."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A text that means something defined elsewhere, how its field says so, and where it stands."""

    word: str
    marker: RefersTo | NamesType
    place: Place


def refuse_repeated(what: str, words: Iterable[tuple[str, Place]], faults: Faults) -> dict[str, Place]:
    """Where each word stands first; to stand again is a fault. `what` the words are: "name", "address"."""
    first: dict[str, Place] = {}
    for word, place in words:
        if word in first:
            message = f"has the {what} {quote(word)}, which is taken on line {first[word].line}"
            faults.add(place.line, place.path, message)
        first.setdefault(word, place)
    return first


def references(kind: Any, node: Node, path: str = "") -> Iterator[Reference]:
    """Every text in `node`, read as a `kind`, whose field says RefersTo or NamesType.

    Taken from the tree, so that a reference is found also in an object that has another fault.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        for marker in arguments[1:]:
            if isinstance(marker, RefersTo | NamesType) and (word := text_of(node)) is not None:
                yield Reference(word, marker, Place(node.line, path))
        yield from references(arguments[0], node, path)
    elif origin in (Union, types.UnionType):
        yield from references(optional_of(kind), node, path)
    elif origin in LISTS and isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from references(arguments[0], item, item_path(path, index))
    elif isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(node, MapNode):
        for field in fields_of(kind):
            if field.key in node.entries:
                yield from references(field.kind, node.entries[field.key], child_path(path, field.key))


def text_of(node: Node | None) -> str | None:
    """The text that `node` is; None if it is anything else."""
    value = node.value if isinstance(node, ScalarNode) else None
    return value if isinstance(value, str) else None
