"""Durations as Go writes them ("50ms", "1m30s"): flags and configuration files of the reference use them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NewType

# A span of time in seconds. As a flag's or a field's type it is written as a Go duration.
Seconds = NewType("Seconds", float)

# The units of Go's time.ParseDuration; both ways to write micro (U+00B5 and U+03BC) are in use.
_UNITS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "\N{MICRO SIGN}s": Decimal("1e-6"),
    "\N{GREEK SMALL LETTER MU}s": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PART = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h)"
# What a duration looks like.
PATTERN = rf"[+-]?(?:0|(?:{_PART})+)"
_DURATION = re.compile(PATTERN)
_NUMBER_AND_UNIT = re.compile(r"([0-9.]+)([^0-9.]+)")

# Go counts nanoseconds in 63 bits; what it cannot say is refused here too.
_LONGEST = Decimal(2**63 - 1) * _UNITS["ns"]


def parse_duration(text: str) -> Seconds:
    """The seconds of a Go duration. ValueError, with a sentence for the user, for anything else."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f'"{text}" is no duration; write a number and a unit, as in 50ms, 2s, 1m30s')
    total = sum(
        (Decimal(number) * _UNITS[unit] for number, unit in _NUMBER_AND_UNIT.findall(text)), Decimal()
    )
    if total > _LONGEST:
        raise ValueError(f'"{text}" is too long for a duration; at most 2562047h')
    return Seconds(float(-total if text.startswith("-") else total))


def format_duration(seconds: float) -> str:
    """The shortest Go duration that says the same to the nanosecond."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    nanoseconds = round(seconds * 10**9)
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        unit, size = next((u, s) for u, s in (("ms", 10**6), ("us", 10**3), ("ns", 1)) if nanoseconds >= s)
        return f"{_plain(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else ""]
    return "".join(parts) + (f"{_plain(rest, 10**9)}s" if rest else "")


def _plain(amount: int, unit: int) -> str:
    """`amount / unit` in plain decimals."""
    whole, rest = divmod(amount, unit)
    digits = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
