"""What a value has to fulfil beyond its type, as an annotation says it: `Annotated[int, Range(1, 65535)]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

# A message shows at most this much of a wrong text: enough to find it, little enough to read.
_SHOWN_LENGTH = 60


class Constraint(Protocol):
    """What a value of the right type has to fulfil as well."""

    def objection(self, value: Any) -> str | None:
        """What is wrong with `value`; None if nothing is."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `least` to `most`, both included."""

    least: float
    most: float

    def objection(self, value: float) -> str | None:
        """See Constraint."""
        if self.least <= value <= self.most:
            return None
        return f"has to be from {self.least} to {self.most}, not {value}"


@dataclass(frozen=True, slots=True)
class Positive:
    """A number above 0."""

    def objection(self, value: float) -> str | None:
        """See Constraint."""
        return None if value > 0 else f"has to be more than 0, not {value}"


@dataclass(frozen=True, slots=True)
class Length:
    """A text, list or map with `least` to `most` characters or items."""

    least: int
    most: int

    def objection(self, value: str | tuple[Any, ...] | Mapping[str, Any]) -> str | None:
        """See Constraint."""
        if self.least <= len(value) <= self.most:
            return None
        unit = "characters" if isinstance(value, str) else "items"
        return f"has to have {self.least} to {self.most} {unit}, not {len(value)}"


@dataclass(frozen=True, slots=True)
class Unique:
    """A list without repetitions."""

    def objection(self, value: tuple[Any, ...]) -> str | None:
        """See Constraint."""
        repeated = next((item for i, item in enumerate(value) if item in value[:i]), None)
        return None if repeated is None else f"has {repeated} more than once"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that `regex` matches as a whole; `meaning` says so in words."""

    regex: str
    meaning: str

    def objection(self, value: str) -> str | None:
        """See Constraint."""
        return None if re.fullmatch(self.regex, value) else f"has to be {self.meaning}, not {quote(value)}"


@dataclass(frozen=True, slots=True)
class Key:
    """The key in documents, where it is not the field's name in camelCase: `defaultRequestTTL`."""

    name: str

    def objection(self, value: object) -> None:
        """See Constraint. Every value is right."""


@dataclass(frozen=True, slots=True)
class Doc:
    """What a value means, for its readers: in `epp plugins`, the documentation and the JSON Schema."""

    text: str

    def objection(self, value: object) -> None:
        """See Constraint. Every value is right."""


def quote(text: str) -> str:
    """`text` as messages show it."""
    return f'"{text}"' if len(text) <= _SHOWN_LENGTH else f'"{text[:_SHOWN_LENGTH]}..."'
