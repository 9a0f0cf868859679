"""What a class takes: its parameters, each with its key in a document, its type and its default.

A class is a dataclass, or any class whose `__init__` has annotated arguments. This is the one source of what
may stand in a document: the reading, the JSON Schema, the pages and `epp plugins` all go by it.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from epp.config.constraints import Doc, Key


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object stands in its document: `line` counted from 1, `path` as faults have it."""

    line: int = 0
    path: str = ""


class _Required:
    """Stands for the default of a field that has none."""


REQUIRED: Final = _Required()


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a class."""

    name: str
    kind: Any
    make_default: Callable[[], Any] | _Required

    @property
    def required(self) -> bool:
        """Whether a document has to give it."""
        return self.make_default is REQUIRED

    @property
    def default(self) -> Any:
        """What counts where a document does not give it. Not to be asked of a required one."""
        assert not isinstance(self.make_default, _Required)
        return self.make_default()

    @property
    def key(self) -> str:
        """Its name in documents."""
        return next((each.name for each in self._notes if isinstance(each, Key)), camel_case(self.name))

    @property
    def meaning(self) -> str:
        """What its `Doc` says; "" without one."""
        return next((each.text for each in self._notes if isinstance(each, Doc)), "")

    @property
    def _notes(self) -> tuple[Any, ...]:
        return get_args(self.kind)[1:] if get_origin(self.kind) is Annotated else ()


@cache
def fields_of(cls: Any) -> tuple[Field, ...]:
    """The fields of `cls` in their order.

    TypeError, with a sentence for who wrote the class, where one has no annotation, or one that means
    nothing; `Place` is not among them (see `place_field`).
    """
    listed = _of_dataclass(cls) if dataclasses.is_dataclass(cls) else _of_arguments(cls)
    return tuple(field for field in listed if field.kind is not Place)


@cache
def place_field(cls: Any) -> str | None:
    """The name of the field of `cls` that is told where its object stands, if it has one."""
    if not dataclasses.is_dataclass(cls):
        return None
    return next((field.name for field in _of_dataclass(cls) if field.kind is Place), None)


def camel_case(name: str) -> str:
    """`queue_depth_threshold` as documents write it."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def summary(cls: Any) -> str:
    """The first line of the docstring; "" without one."""
    # A dataclass without a docstring is given its signature for one.
    text = inspect.getdoc(cls) or ""
    return "" if text.startswith(f"{cls.__name__}(") else text.partition("\n")[0]


def _of_dataclass(cls: Any) -> Iterator[Field]:
    kinds = _annotations(cls)
    for field in dataclasses.fields(cls):
        if field.init:
            yield Field(field.name, kinds[field.name], _default_maker(field))


def _default_maker(field: dataclasses.Field[Any]) -> Callable[[], Any] | _Required:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    default = field.default
    return REQUIRED if default is dataclasses.MISSING else lambda: default


def _of_arguments(cls: Any) -> Iterator[Field]:
    if cls.__init__ is object.__init__:
        return
    kinds = _annotations(cls.__init__)
    for argument in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD, argument.POSITIONAL_ONLY):
            raise TypeError(f"{argument} cannot be given by a configuration")
        if argument.name not in kinds:
            raise TypeError(f'the argument "{argument.name}" has no annotation')
        yield Field(argument.name, kinds[argument.name], _argument_default(argument))


def _argument_default(argument: inspect.Parameter) -> Callable[[], Any] | _Required:
    default = argument.default
    return REQUIRED if default is argument.empty else lambda: default


def _annotations(annotated: Any) -> dict[str, Any]:
    try:
        return get_type_hints(annotated, include_extras=True)
    except Exception as error:  # whatever the annotation's text does when it is evaluated
        raise TypeError(f"an annotation cannot be understood: {error}") from None
