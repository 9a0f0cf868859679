"""Types as JSON Schema (draft 2020-12): the same annotations that `read` goes by, for editors."""

from __future__ import annotations

import dataclasses
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from epp.config.constraints import Doc, Length, Pattern, Positive, Range, Unique
from epp.config.durations import PATTERN as DURATION
from epp.config.durations import Seconds
from epp.config.fields import Field, fields_of, summary
from epp.config.quantities import PATTERN as QUANTITY
from epp.config.quantities import Quantity
from epp.config.schema import LISTS, MAPS, Raw, optional_of
from epp.config.writing import written

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_LENGTHS = {"string": "Length", "array": "Items", "object": "Properties"}


def schema_of(kind: Any) -> Schema:
    """What a document may have where `read` reads a `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _constrained(schema_of(arguments[0]), arguments[1:])
    if origin in (Union, types.UnionType):
        return schema_of(optional_of(kind))
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin in LISTS:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin in MAPS:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return object_of(kind)
    return dict(_SIMPLE[kind])


def object_of(cls: Any) -> Schema:
    """A map with the fields of `cls` and no others. Null stands for an absent value, as for `read`."""
    fields = fields_of(cls)
    schema: Schema = {"type": "object"}
    if text := summary(cls):
        schema["description"] = text
    schema["properties"] = {field.key: _property(field) for field in fields}
    if required := [field.key for field in fields if field.required]:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema


def _property(field: Field) -> Schema:
    schema = schema_of(field.kind)
    if field.required:
        return schema
    if isinstance(kind := schema.get("type"), str):
        schema["type"] = [kind, "null"]
    elif "type" in schema:
        schema["type"] = [*schema["type"], "null"]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    default = written(field.kind, field.default)
    if default not in (None, [], {}):
        schema["default"] = default
    return schema


def _constrained(schema: Schema, constraints: tuple[Any, ...]) -> Schema:
    for constraint in constraints:
        match constraint:
            case Doc(text):
                schema["description"] = text
            case Range(least, most):
                schema |= {"minimum": least, "maximum": most}
            case Positive():
                schema["exclusiveMinimum"] = 0
            case Length(least, most):
                what = _LENGTHS[schema["type"]]
                schema |= {f"min{what}": least, f"max{what}": most}
            case Pattern(regex, _):
                schema["pattern"] = f"^(?:{regex})$"
            case Unique():
                schema["uniqueItems"] = True
    return schema


_SIMPLE: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Seconds: {"type": "string", "pattern": f"^(?:{DURATION})$"},
    Quantity: {"type": ["string", "number"], "pattern": f"^(?:{QUANTITY})$", "minimum": 0},
    Any: {},
    Raw: {},
}
