"""Reads a document into classes, by their type annotations and as strictly as they say.

The classes are the schema (epp/config/fields.py): a field is a key of the same name in camelCase, required if
it has no default. Annotations that are understood: str, int, float, bool, Seconds (a Go duration), Quantity
(a Kubernetes quantity), Any (kept as it is), Raw (kept as a node), Literal, `X | None`, tuple[X, ...],
list[X], Sequence[X], Mapping[str, X], dict[str, X], other dataclasses, Annotated with constraints, and Place,
which no document has: it tells where its object stands.

Nothing is coerced: a number is not text, and a key that no field has is a fault, named with the nearest that
one has. As in the reference's decoder null stands for an absent value. Reading goes on after a fault, so that
one run finds all; what could not be read is left out of the result, and who asked has to look at the faults.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

from epp.config.constraints import Constraint, quote
from epp.config.document import Faults, ListNode, MapNode, Node, ScalarNode, child_path, item_path, plain
from epp.config.durations import Seconds, parse_duration
from epp.config.fields import Place, fields_of, place_field
from epp.config.quantities import Quantity, parse_quantity
from epp.config.suggestion import did_you_mean, mistyped

__all__ = ["INVALID", "Place", "Raw", "check_kind", "read", "read_fields"]

# A part of a document that is not read yet: its node.
Raw = NewType("Raw", object)

# Lists and maps as annotations may write them.
LISTS = (tuple, list, Sequence)
MAPS = (Mapping, dict)


class _Invalid:
    """Stands for a value that could not be read; its fault is noted."""


INVALID: Final = _Invalid()


def read(kind: Any, node: Node, faults: Faults, path: str = "") -> Any:
    """The value of type `kind` that `node` says, or INVALID; TypeError if no document can hold a `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _read_constrained(arguments[0], arguments[1:], node, faults, path)
    if origin in (Union, types.UnionType):
        return None if is_null(node) else read(optional_of(kind), node, faults, path)
    if origin is Literal:
        return _read_choice(arguments, node, faults, path)
    if origin in LISTS:
        return _read_list(kind, node, faults, path)
    if origin in MAPS:
        return _read_map(arguments[1], node, faults, path)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        values = read_fields(kind, node, faults, path)
        required = {field.name for field in fields_of(kind) if field.required}
        return kind(**values) if required <= values.keys() else INVALID
    if kind in _READERS:
        return _READERS[kind](node, faults, path)
    raise TypeError(f"a document cannot hold a {kind}")


def optional_of(kind: Any) -> Any:
    """X of `X | None`; TypeError for any other union."""
    inner = [argument for argument in get_args(kind) if argument is not types.NoneType]
    if len(inner) != 1:
        raise TypeError(f"a document cannot hold a {kind}")
    return inner[0]


def check_kind(kind: Any) -> None:
    """TypeError if no document can hold a `kind`: asked before there is a document."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        check_kind(arguments[0])
    elif origin in (Union, types.UnionType):
        check_kind(optional_of(kind))
    elif origin in LISTS and (origin is not tuple or arguments[1:] == (...,)):
        check_kind(arguments[0])
    elif origin in MAPS and arguments[0] is str:
        check_kind(arguments[1])
    elif isinstance(kind, type) and dataclasses.is_dataclass(kind):
        for field in fields_of(kind):
            check_kind(field.kind)
    elif kind not in _READERS and not (
        origin is Literal and all(isinstance(word, str) for word in arguments)
    ):
        raise TypeError(f"a document cannot hold a {kind}")


def read_fields(cls: Any, node: Node, faults: Faults, path: str = "") -> dict[str, Any]:
    """The values of the fields of `cls` that `node` has and that could be read, by field name."""
    if not isinstance(node, MapNode):
        faults.add(node.line, path, f"has to be a map, not {_show(node)}")
        return {}
    values: dict[str, Any] = {}
    fields = fields_of(cls)
    for field in fields:
        entry = node.entries.get(field.key)
        if entry is None or is_null(entry):
            if field.required:
                faults.add(node.line, child_path(path, field.key), "is missing")
        elif (value := read(field.kind, entry, faults, child_path(path, field.key))) is not INVALID:
            values[field.name] = value
    if name := place_field(cls):
        values[name] = Place(node.line, path)
    known = [field.key for field in fields]
    for key in (key for key in node.entries if key not in known):
        _refuse_unknown(key, known, node.key_lines[key], child_path(path, key), faults)
    return values


def _refuse_unknown(key: str, known: Sequence[str], line: int, path: str, faults: Faults) -> None:
    if faults.tolerant and mistyped(key, known) is None:
        faults.warn(line, path, f"is not known here and is passed over{did_you_mean(key, known)}")
    else:
        faults.add(line, path, f"is no field{did_you_mean(key, known)}")


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
    """A tuple, or a list where `kind` is one."""
    if not isinstance(node, ListNode):
        faults.add(node.line, path, f"has to be a list, not {_show(node)}")
        return INVALID
    item_kind = get_args(kind)[0]
    values = (read(item_kind, item, faults, item_path(path, i)) for i, item in enumerate(node.items))
    found = [value for value in values if value is not INVALID]
    return found if get_origin(kind) is list else tuple(found)


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
    return text if text is INVALID else _parsed(parse_duration, text, node, faults, path)


def _read_quantity(node: Node, faults: Faults, path: str) -> Any:
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return _parsed(parse_quantity, str(value), node, faults, path)
    faults.add(node.line, path, f"has to be a quantity, as in 512Mi or 1000, not {_show(node)}")
    return INVALID


def _parsed(parse: Callable[[str], Any], text: str, node: Node, faults: Faults, path: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        faults.add(node.line, path, str(error))
        return INVALID


_SCALARS = {str: "text", int: "a whole number", bool: "true or false"}

_READERS: Mapping[Any, Callable[[Node, Faults, str], Any]] = {
    **{kind: partial(_read_scalar, kind) for kind in _SCALARS},
    float: _read_float,
    Seconds: _read_duration,
    Quantity: _read_quantity,
    Any: lambda node, faults, path: plain(node),
    Raw: lambda node, faults, path: node,
}


def is_null(node: Node) -> bool:
    """Whether it stands for an absent value."""
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
