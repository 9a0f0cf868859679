from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from epp.config.constraints import Doc, Length, Pattern, Positive, Range, Unique
from epp.config.durations import Seconds
from epp.config.in_words import kind_in_words, parameters_of
from epp.config.quantities import Quantity
from epp.config.schema import Raw


@dataclass
class Item:
    size: Annotated[int, Range(1, 9), Doc("how large")]


@dataclass
class Whole:
    name: str
    items: Annotated[tuple[Item, ...], Doc("what is in it")] = ()
    one: Item | None = None
    by_name: Mapping[str, Item] = field(default_factory=dict)
    share: float = 1.0
    pause: Annotated[Seconds, Doc("how long")] = Seconds(0.5)  # noqa: RUF009


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (str, "text"),
        (int | None, "whole number"),
        (Annotated[float, Range(0, 0.5), Doc("x")], "number, 0 to 0.5"),
        (Annotated[float, Positive(), Range(0, 1e9)], "number, above 0, 0 to 1000000000"),
        (bool, "true or false"),
        (Seconds, "duration"),
        (Quantity, "quantity"),
        (Any, "anything"),
        (Raw, "anything"),
        (Literal["a", "b"], "`a` or `b`"),
        (list[str], "list of texts"),
        (tuple[bool, ...], "list of true or false"),
        (dict[str, float], "map of numbers"),
        (Annotated[list[int], Unique(), Length(1, 8)], "list of whole numbers, no two alike, length 1 to 8"),
        (Annotated[str, Length(1, 253)], "text"),
        (Annotated[str, Pattern("[a-z]+", "lower-case letters")], "text, lower-case letters"),
        (Item, "map"),
        (tuple[Item, ...], "list of maps"),
    ],
)
def test_kinds(kind: Any, words: str) -> None:
    assert kind_in_words(kind) == words


def test_parameters_and_those_of_their_parts() -> None:
    assert [(each.path, each.kind, each.default_words, each.meaning) for each in parameters_of(Whole)] == [
        ("name", "text", "needed", ""),
        ("items", "list of maps", "unset", "what is in it"),
        ("items[].size", "whole number, 1 to 9", "needed", "how large"),
        ("one", "map", "unset", ""),
        ("one.size", "whole number, 1 to 9", "needed", "how large"),
        ("byName", "map of maps", "unset", ""),
        ("byName.*.size", "whole number, 1 to 9", "needed", "how large"),
        ("share", "number", "1", ""),
        ("pause", "duration", '"500ms"', "how long"),
    ]
