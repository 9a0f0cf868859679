"""How the value of a flag is read and shown, by the type of its field."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NewType, Union, get_args, get_origin

from epp.config.durations import Seconds, format_duration, parse_duration

# Text that loses a pair of double quotes around it: the reference's charts write some values with quotes that
# no shell takes away, as in --total-queued-requests-metric="sglang:num_queue_reqs".
Unquoted = NewType("Unquoted", str)

# What Go's strconv.ParseBool takes.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})

# The numbers of a Go int: 64 bits, signed.
_INT_BITS = 64


@dataclass(frozen=True, slots=True)
class ValueKind:
    """One type of flag value. `read` raises ValueError with a sentence for the user."""

    word: str  # stands for the value in the help text
    read: Callable[[str], Any]
    show: Callable[[Any], str]
    is_list: bool = False  # given again, it grows
    bare: bool = False  # without a value it means true


def kind_of(annotation: Any) -> ValueKind:
    """The kind of a field's type; TypeError for a type that no flag can have."""
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return kind_of(inner)
    if get_origin(annotation) is Literal:
        return ValueKind("|".join(arguments), lambda text: _read_choice(text, arguments), str)
    if get_origin(annotation) is tuple and arguments[1:] == (Ellipsis,):
        return _list_of(kind_of(arguments[0]))
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    raise TypeError(f"a flag cannot be of type {annotation}")


def _list_of(item: ValueKind) -> ValueKind:
    def read(text: str) -> tuple[Any, ...]:
        words = [word.strip() for word in text.split(",")] if text.strip() else []
        if "" in words:
            raise ValueError(f'"{text}" has an empty item')
        return tuple(item.read(word) for word in words)

    return ValueKind(f"{item.word},...", read, lambda values: ",".join(map(item.show, values)), is_list=True)


def _read_bool(text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError(f'"{text}" is neither true nor false')


def _read_int(text: str) -> int:
    # The length is looked at first: Python refuses to read numbers of thousands of digits.
    if not re.fullmatch(r"[+-]?[0-9]+", text) or len(text) > _INT_BITS:
        raise ValueError(f'"{text}" is no whole number')
    if not -(2 ** (_INT_BITS - 1)) <= int(text) < 2 ** (_INT_BITS - 1):
        raise ValueError(f'"{text}" is out of range')
    return int(text)


def _read_float(text: str) -> float:
    if not re.fullmatch(r"[0-9eE.+-]+", text):
        raise ValueError(f'"{text}" is no number')
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f'"{text}" is no number') from None
    if not math.isfinite(value):
        raise ValueError(f'"{text}" is out of range')
    return value


def _read_unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _read_choice(text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise ValueError(f'"{text}" is not one of {", ".join(choices)}')
    return text


_SCALARS: dict[Any, ValueKind] = {
    str: ValueKind("string", str, str),
    Unquoted: ValueKind("string", _read_unquoted, str),
    int: ValueKind("int", _read_int, str),
    float: ValueKind("number", _read_float, str),
    bool: ValueKind("", _read_bool, lambda value: "true" if value else "false", bare=True),
    Seconds: ValueKind("duration", parse_duration, format_duration),
}
