"""Reads a document into frozen dataclasses, by their type annotations and as strictly as they say.

The dataclasses are the schema: a field is a key of the same name in camelCase, required if it has no default.
Annotations that are understood: str, int, float, bool, Seconds (a Go duration), Any (kept as it is), Literal,
`X | None`, tuple[X, ...], Mapping[str, X], other dataclasses, Annotated with constraints, and Place, which no
document has: it tells where its object stands.

Nothing is coerced: a number is not text, and a key that no field has is a fault, named with the nearest that
one has. As in the reference's decoder null stands for an absent value. Reading goes on after a fault, so that
one run finds all; what could not be read is left out of the result, and who asked has to look at the faults.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from epp.config.constraints import Constraint, quote
from epp.config.document import Faults, ListNode, MapNode, Node, ScalarNode, child_path, item_path, plain
from epp.config.durations import Seconds, parse_duration
from epp.config.suggestion import did_you_mean


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object stands in its document: `line` counted from 1, `path` as faults have it."""

    line: int = 0
    path: str = ""


class _Invalid:
    """Stands for a value that could not be read; its fault is noted."""


INVALID: Final = _Invalid()


def read(kind: Any, node: Node, faults: Faults, path: str = "") -> Any:
    """The value of type `kind` that `node` says, or INVALID; TypeError if no document can hold a `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _read_constrained(arguments[0], arguments[1:], node, faults, path)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return None if _is_null(node) else read(inner, node, faults, path)
    if origin is Literal:
        return _read_choice(arguments, node, faults, path)
    if origin is tuple:
        return _read_list(arguments[0], node, faults, path)
    if origin is Mapping:
        return _read_map(arguments[1], node, faults, path)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        values = read_fields(kind, node, faults, path)
        required = {field.name for field in _fields_of(kind) if field.required}
        return kind(**values) if required <= values.keys() else INVALID
    if kind is Any:
        return plain(node)
    if kind is float:
        return _read_float(node, faults, path)
    if kind is Seconds:
        return _read_duration(node, faults, path)
    if kind in _SCALARS:
        return _read_scalar(kind, node, faults, path)
    raise TypeError(f"a document cannot hold a {kind}")


def read_fields(cls: Any, node: Node, faults: Faults, path: str = "") -> dict[str, Any]:
    """The values of the fields of dataclass `cls` that `node` has and that could be read, by field name."""
    if not isinstance(node, MapNode):
        faults.add(node.line, path, f"has to be a map, not {_show(node)}")
        return {}
    values: dict[str, Any] = {}
    fields = _fields_of(cls)
    for field in fields:
        entry = node.entries.get(field.key)
        if field.kind is Place:
            values[field.name] = Place(node.line, path)
        elif entry is None or _is_null(entry):
            if field.required:
                faults.add(node.line, child_path(path, field.key), "is missing")
        elif (value := read(field.kind, entry, faults, child_path(path, field.key))) is not INVALID:
            values[field.name] = value
    known = [field.key for field in fields if field.kind is not Place]
    for name in (name for name in node.entries if name not in known):
        faults.add(node.key_lines[name], child_path(path, name), f"is no field{did_you_mean(name, known)}")
    return values


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    key: str
    kind: Any
    required: bool


@cache
def _fields_of(cls: Any) -> tuple[_Field, ...]:
    kinds = get_type_hints(cls, include_extras=True)
    return tuple(
        _Field(
            name=field.name,
            key=_camel_case(field.name),
            kind=kinds[field.name],
            required=field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(cls)
    )


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _read_constrained(
    kind: Any, constraints: tuple[Constraint, ...], node: Node, faults: Faults, path: str
) -> Any:
    before = len(faults.found)
    value = read(kind, node, faults, path)
    if len(faults.found) > before:
        return value
    objections = [said for constraint in constraints if (said := constraint.objection(value))]
    for objection in objections:
        faults.add(node.line, path, objection)
    return INVALID if objections else value


def _read_list(kind: Any, node: Node, faults: Faults, path: str) -> Any:
    if not isinstance(node, ListNode):
        faults.add(node.line, path, f"has to be a list, not {_show(node)}")
        return INVALID
    values = (read(kind, item, faults, item_path(path, i)) for i, item in enumerate(node.items))
    return tuple(value for value in values if value is not INVALID)


def _read_map(kind: Any, node: Node, faults: Faults, path: str) -> Any:
    if not isinstance(node, MapNode):
        faults.add(node.line, path, f"has to be a map, not {_show(node)}")
        return INVALID
    values = {name: read(kind, entry, faults, child_path(path, name)) for name, entry in node.entries.items()}
    return {name: value for name, value in values.items() if value is not INVALID}


def _read_choice(choices: tuple[Any, ...], node: Node, faults: Faults, path: str) -> Any:
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, str) and value in choices:
        return value
    if len(choices) == 1:
        faults.add(node.line, path, f"has to be {choices[0]}, not {_show(node)}")
        return INVALID
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    faults.add(node.line, path, f"has to be one of {', '.join(choices)}, not {_show(node)}{hint}")
    return INVALID


def _read_scalar(kind: Any, node: Node, faults: Faults, path: str) -> Any:
    value = node.value if isinstance(node, ScalarNode) else None
    if type(value) is kind:
        return value
    hint = "; put it in quotes" if kind is str and value is not None else ""
    faults.add(node.line, path, f"has to be {_SCALARS[kind]}, not {_show(node)}{hint}")
    return INVALID


def _read_float(node: Node, faults: Faults, path: str) -> Any:
    value = node.value if isinstance(node, ScalarNode) else None
    # A boolean is an int to Python, and a number that is too large has become infinite.
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    faults.add(node.line, path, f"has to be a number, not {_show(node)}")
    return INVALID


def _read_duration(node: Node, faults: Faults, path: str) -> Any:
    text = _read_scalar(str, node, faults, path)
    try:
        return text if text is INVALID else parse_duration(text)
    except ValueError as error:
        faults.add(node.line, path, str(error))
        return INVALID


_SCALARS = {str: "text", int: "a whole number", bool: "true or false"}


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def _show(node: Node) -> str:
    if isinstance(node, MapNode):
        return "a map"
    if isinstance(node, ListNode):
        return "a list"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return quote(node.value) if isinstance(node.value, str) else str(node.value)
