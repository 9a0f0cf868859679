"""Names within one document: each given once, and each that is referred to given somewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from epp.config.constraints import quote
from epp.config.document import Faults, ListNode, MapNode, Node, ScalarNode, child_path, item_path
from epp.config.schema import Place
from epp.config.suggestion import did_you_mean


def refuse_repeated(what: str, words: Iterable[tuple[str, Place]], faults: Faults) -> dict[str, Place]:
    """Where each word stands first; to stand again is a fault. `what` the words are: "name", "address"."""
    first: dict[str, Place] = {}
    for word, place in words:
        if word in first:
            message = f"has the {what} {quote(word)}, which is taken on line {first[word].line}"
            faults.add(place.line, place.path, message)
        first.setdefault(word, place)
    return first


def refuse_undefined(words: Iterable[tuple[str, Place]], defined: Collection[str], faults: Faults) -> None:
    """A fault for each word that is not among `defined`."""
    for word, place in words:
        if word not in defined:
            message = f"refers to {quote(word)}, which is not defined{did_you_mean(word, defined)}"
            faults.add(place.line, place.path, message)


def texts_under(key: str, node: Node, path: str = "") -> Iterator[tuple[str, Place]]:
    """Every text that stands under `key` in the tree, however deep, and where it does.

    Taken from the tree, so that a reference is found also in an object that has another fault.
    """
    if isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from texts_under(key, item, item_path(path, index))
    elif isinstance(node, MapNode):
        for name, entry in node.entries.items():
            place = child_path(path, name)
            if name == key and isinstance(entry, ScalarNode) and isinstance(entry.value, str):
                yield entry.value, Place(entry.line, place)
            yield from texts_under(key, entry, place)
