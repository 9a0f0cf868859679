"""Command-line flags over a frozen dataclass, with the manners of Go's flag packages.

The reference's argument vectors have to start this picker, and they were written for two parsers: v1.0.1 uses
Go's `flag`, v1.5 `pflag`. Both are understood:

    --name value   --name=value   -name value   -name=value      any flag
    --name   --name=false                                        booleans
    --name true   --name false                                   booleans, as the reference's charts have it

As in Go the word after a flag is its value even if it begins with a dash, a flag given again replaces its
value (a list grows), and `--` ends the flags. Unlike Go every fault is reported, not only the first.

    @dataclass(frozen=True)
    class Settings:
        port: int = flag(9002, help="Port of the ext_proc server.")

    settings = parse_flags(Settings, sys.argv[1:], program="epp serve")
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_type_hints, runtime_checkable

from epp.config.durations import Seconds
from epp.config.flag_values import ValueKind, kind_of
from epp.config.suggestion import nearest
from epp.errors import ConfigError, Fault

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")

__all__ = ["Checked", "Complaint", "HelpRequested", "Seconds", "flag", "help_text", "parse_flags"]

# `Fault.file` of everything found here.
_COMMAND_LINE = "command line"

# Columns of the help text: what style guides give to prose on a terminal.
_HELP_WIDTH = 100


class HelpRequested(Exception):  # noqa: N818 - no error: the text belongs on standard output, the exit code is 0
    """`-h` or `--help` was given; `text` is the answer."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something wrong between flags: the names it is about, the one to blame first, and what to do."""

    flags: tuple[str, ...]
    message: str


@runtime_checkable
class Checked(Protocol):
    """A settings class that also looks at its values together."""

    def complaints(self) -> Iterable[Complaint]:
        """Everything that is wrong between the flags."""


def flag(default: Any, *, help: str, short: str = "", name: str = "", heading: str = "") -> Any:
    """A dataclass field that is a flag.

    `name` is the flag's (default: the field's, with dashes), `short` a second one; `heading` begins a section
    of the help text. The field's type says how the value is read: str, int, float, bool, Seconds, a Literal
    of words, tuple[str, ...] and tuple[int, ...] (comma separated, repeatable), or one of these or None,
    where None means "not given".
    """
    metadata = {"help": help, "short": short, "name": name, "heading": heading}
    return dataclasses.field(default=default, metadata=metadata)


def parse_flags(cls: type[S], argv: Sequence[str], *, program: str, operands: list[str] | None = None) -> S:
    """The settings that `argv` (without the program's name) asks for.

    HelpRequested if it asks for help; ConfigError with all faults if anything in it is wrong. A complaint of
    `cls` is left out where a flag that it is about was itself at fault. Words that are no flags are added to
    `operands`; they are faults where there are none.
    """
    reading = _Reading(_flags_of(cls), operands)
    words = deque(argv)
    while words:
        word = words.popleft()
        if word in ("-h", "-help", "--help"):
            raise HelpRequested(help_text(cls, program))
        if word == "--":
            reading.take_operands(words)
            break
        if word.startswith("-") and word != "-":
            reading.read(word, words)
        else:
            reading.take_operands([word])
    settings = cls(**reading.values)
    if isinstance(settings, Checked):
        reading.add(settings.complaints())
    if reading.faults:
        raise ConfigError(reading.faults)
    return settings


def help_text(cls: type[DataclassInstance], program: str) -> str:
    """What `--help` prints: each flag with the kind of its value, its meaning and its default."""
    lines = [f"Usage: {program} [flags]", ""]
    for item in _flags_of(cls):
        if item.heading:
            lines += ([""] if lines[-1] else []) + [f"{item.heading}:"]
        names = f"-{item.short}, --{item.name}" if item.short else f"--{item.name}"
        lines.append(f"  {names} {item.kind.word}".rstrip())
        default = item.kind.show(item.default) if item.default is not None else ""
        text = f"{item.help} Default: {default}." if default else item.help
        lines += textwrap.wrap(text, _HELP_WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Flag:
    name: str
    short: str
    field: str
    kind: ValueKind
    default: Any
    help: str
    heading: str


def _flags_of(cls: type[DataclassInstance]) -> list[_Flag]:
    types = get_type_hints(cls)
    return [
        _Flag(
            name=field.metadata["name"] or field.name.replace("_", "-"),
            short=field.metadata["short"],
            field=field.name,
            kind=kind_of(types[field.name]),
            default=field.default,
            help=field.metadata["help"],
            heading=field.metadata["heading"],
        )
        for field in dataclasses.fields(cls)
    ]


class _Reading:
    """What the words read so far gave: values by field, and faults."""

    def __init__(self, flags: Iterable[_Flag], operands: list[str] | None) -> None:
        self._operands = operands
        self._flags = {name: item for item in flags for name in (item.name, item.short) if name}
        self._broken: set[str] = set()
        self.values: dict[str, Any] = {}
        self.faults: list[Fault] = []

    def read(self, word: str, rest: deque[str]) -> None:
        """Reads the flag in `word`, and its value from `rest` if it stands there."""
        name, equals, text = word.removeprefix("-").removeprefix("-").partition("=")
        item = self._flags.get(name)
        if item is None:
            self._refuse_unknown(name)
            if not equals and rest and not rest[0].startswith("-"):
                rest.popleft()  # most likely the value, and not a second mistake
        elif equals:
            self._set(item, text)
        elif item.kind.bare:
            self._set(item, rest.popleft() if rest and rest[0] in ("true", "false") else "true")
        elif rest:
            self._set(item, rest.popleft())
        else:
            self._fault(item.name, f"needs a value ({item.kind.word})")

    def take_operands(self, words: Iterable[str]) -> None:
        """Words that are no flags."""
        if self._operands is not None:
            self._operands += words
            return
        self.faults += [
            Fault(_COMMAND_LINE, 0, word, "is no flag, and nothing else may stand here") for word in words
        ]

    def add(self, complaints: Iterable[Complaint]) -> None:
        """Makes faults of the complaints that do not merely follow from an earlier fault."""
        for complaint in complaints:
            if self._broken.isdisjoint(complaint.flags):
                self.faults.append(Fault(_COMMAND_LINE, 0, f"--{complaint.flags[0]}", complaint.message))

    def _set(self, item: _Flag, text: str) -> None:
        try:
            value = item.kind.read(text)
        except ValueError as error:
            self._fault(item.name, str(error))
            return
        self.values[item.field] = self.values.get(item.field, ()) + value if item.kind.is_list else value

    def _refuse_unknown(self, name: str) -> None:
        near = nearest(name, self._flags)
        self._fault(name, f"is not a flag; did you mean --{near}?" if near else "is not a flag")
        if near:
            self._broken.add(near)  # most likely it was given, so that it has no value is no second fault

    def _fault(self, name: str, message: str) -> None:
        self._broken.add(name)
        self.faults.append(Fault(_COMMAND_LINE, 0, f"--{name}", message))
