"""Values as documents write them: the way back from epp/config/schema.py's `read`."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from epp.config.durations import Seconds, format_duration
from epp.config.fields import fields_of
from epp.config.quantities import Quantity, format_quantity
from epp.config.schema import LISTS, MAPS, optional_of


def written(kind: Any, value: Any) -> Any:
    """`value`, of type `kind`, as dict, list and scalars that `read` makes the same value of."""
    origin, arguments = get_origin(kind), get_args(kind)
    if value is None or kind is Any:
        return value
    if origin is Annotated:
        return written(arguments[0], value)
    if origin in (Union, types.UnionType):
        return written(optional_of(kind), value)
    if origin in LISTS:
        return [written(arguments[0], item) for item in value]
    if origin in MAPS:
        return {key: written(arguments[1], item) for key, item in value.items()}
    if kind is float:
        return written_number(value)
    if kind is Seconds:
        return format_duration(value)
    if kind is Quantity:
        return format_quantity(value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return written_fields(kind, {field.name: getattr(value, field.name) for field in fields_of(kind)})
    return value


def written_number(value: float) -> int | float:
    """A whole number without its ".0"."""
    return int(value) if float(value).is_integer() else float(value)


def written_fields(cls: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of `cls` by key, those without a value in `values` with their defaults; no nulls."""
    fields = fields_of(cls)
    whole = {field.name: field.default for field in fields if not field.required} | dict(values)
    shown = {field.key: written(field.kind, whole[field.name]) for field in fields}
    return {key: value for key, value in shown.items() if value is not None}
