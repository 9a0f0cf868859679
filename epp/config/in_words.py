"""The parameters of a class in words: for `epp plugins` and docs/configuration.md."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from epp.config.constraints import Length, Pattern, Positive, Range, Unique
from epp.config.durations import Seconds
from epp.config.fields import Field, fields_of
from epp.config.quantities import Quantity
from epp.config.schema import LISTS, MAPS, optional_of
from epp.config.writing import written, written_number

# The most that a length may be without it being said: it only bounds memory.
_GENEROUS = 253

_SIMPLE = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Seconds: "duration",
    Quantity: "quantity",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, `path` as documents have it: `profiles.decode`, `conditions[].metric`.

    `default` is None where there is none: the parameter is needed, or its absence says something.
    """

    path: str
    kind: str
    required: bool
    default: Any
    meaning: str

    @property
    def default_words(self) -> str:
        """The default as people read it."""
        if self.required:
            return "needed"
        return "unset" if self.default in (None, "", [], {}) else json.dumps(self.default)


def parameters_of(cls: Any, prefix: str = "") -> Iterator[Parameter]:
    """The parameters of a class in their order, those of its parts behind each."""
    for field in fields_of(cls):
        path = prefix + field.key
        kind = kind_in_words(field.kind)
        yield Parameter(path, kind, field.required, _default(field), field.meaning)
        part, suffix = _part_of(field.kind)
        if part is not None:
            yield from parameters_of(part, f"{path}{suffix}.")


def kind_in_words(kind: Any) -> str:
    """What a value may be: "whole number, 1 to 9"."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        limits = [words for constraint in arguments[1:] if (words := _limit(constraint))]
        return ", ".join([kind_in_words(arguments[0]), *limits])
    if origin in (Union, types.UnionType):
        return kind_in_words(optional_of(kind))
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in arguments)
    if origin in LISTS:
        return f"list of {_many(kind_in_words(arguments[0]))}"
    if origin in MAPS:
        return f"map of {_many(kind_in_words(arguments[1]))}"
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return "map"
    return _SIMPLE.get(kind, "anything")


def _many(words: str) -> str:
    return {"text": "texts", "whole number": "whole numbers", "number": "numbers", "map": "maps"}.get(
        words, words
    )


def _limit(constraint: Any) -> str:
    match constraint:
        case Range(least, most):
            return f"{written_number(least)} to {written_number(most)}"
        case Positive():
            return "above 0"
        case Length(least, most) if most < _GENEROUS:
            return f"length {least} to {most}"
        case Pattern(_, meaning):
            return meaning
        case Unique():
            return "no two alike"
    return ""


def _part_of(kind: Any) -> tuple[Any, str]:
    """The class whose fields a value of this kind has, or an item of it; and how the path goes on there."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _part_of(arguments[0])
    if origin in (Union, types.UnionType):
        return _part_of(optional_of(kind))
    if origin in LISTS:
        return _part_of(arguments[0])[0], "[]"
    if origin in MAPS:
        return _part_of(arguments[1])[0], ".*"
    return (kind, "") if isinstance(kind, type) and dataclasses.is_dataclass(kind) else (None, "")


def _default(field: Field) -> Any:
    return None if field.required else written(field.kind, field.default)
