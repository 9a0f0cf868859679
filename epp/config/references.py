"""Names within one document: each given once, and each that is referred to given somewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from epp.config.constraints import quote
from epp.config.document import Faults, child_path
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


def refuse_undefined(
    words: Iterable[tuple[str, Place]], field: str, defined: Collection[str], faults: Faults
) -> None:
    """A fault for each word that is not among `defined`; `field` is the key that it stands under."""
    for word, place in words:
        if word not in defined:
            message = f"refers to {quote(word)}, which is not defined{did_you_mean(word, defined)}"
            faults.add(place.line, child_path(place.path, field), message)
