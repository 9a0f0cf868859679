"""Quantities as Kubernetes writes them ("1Gi", "500M", "1500m"): the flow control's limits are such.

The grammar is that of Kubernetes' resource.Quantity: a decimal number, and at most one of a binary suffix
(Ki, Mi, ...), a decimal one (n, u, m, k, M, ...) or a decimal exponent (e3, E3).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import NewType

# A whole number of bytes or requests. As a field's type it is written as a Kubernetes quantity.
Quantity = NewType("Quantity", int)

_BINARY = {f"{letter}i": Decimal(1024) ** (index + 1) for index, letter in enumerate("KMGTPE")}
_DECIMAL = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** (index + 1) for index, letter in enumerate("kMGTPE")},
}
_UNITS = _BINARY | _DECIMAL

# What a quantity looks like, for whoever cannot ask `parse_quantity`.
PATTERN = r"[+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?"

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))(?P<unit>.*)", re.DOTALL
)
_EXPONENT = re.compile(r"[eE][+-]?[0-9]{1,2}")

# Kubernetes' numbers have 63 bits.
_MOST = 2**63 - 1


def parse_quantity(text: str) -> Quantity:
    """The whole number that `text` says, parts rounded up as Kubernetes does.

    ValueError, with a sentence for the user, for what is no quantity, is negative or is too large.
    """
    found = _QUANTITY.fullmatch(text)
    unit = found["unit"] if found else ""
    if found is None or not (unit in _UNITS or _EXPONENT.fullmatch(unit)):
        raise ValueError(f'"{text[:40]}" is no quantity; write a number and a unit, as in 512Mi, 1G, 1000')
    size = _UNITS[unit] if unit in _UNITS else Decimal(f"1{unit}")
    value = (Decimal(found["number"]) * size).to_integral_value(ROUND_CEILING)
    if not 0 <= value <= _MOST:
        raise ValueError(f'"{text[:40]}" is out of range; 0 to 2^63-1')
    return Quantity(int(value))


def format_quantity(value: int) -> str:
    """The shortest binary quantity that says the same."""
    for unit, size in reversed(_BINARY.items()):
        if value and value % int(size) == 0:
            return f"{value // int(size)}{unit}"
    return str(value)
