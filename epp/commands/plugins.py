"""`epp plugins`: every plugin type with its parameters, and a new plugin to begin with."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from epp.commands.skeleton import skeleton
from epp.config.catalogue import PluginType
from epp.config.flags import flag, parse_flags
from epp.config.in_words import Parameter, parameters_of
from epp.discovery import load_catalogue
from epp.errors import ConfigError, Fault
from epp.plugins.registry import OWN_TYPES

_WIDTH = 100
_USAGE_ERROR = 2


@dataclass(frozen=True, slots=True)
class ListSettings:
    """`epp plugins`."""

    plugin_path: str = flag("", help="Directory with plugins of your own, as epp serve takes it.")
    json: bool = flag(False, help="Print JSON.")


@dataclass(frozen=True, slots=True)
class NewSettings:
    """`epp plugins new`."""

    kind: Literal["scorer", "filter", "picker"] = flag("scorer", help="What it is.")
    directory: str = flag("plugins", help="Where to write it; --plugin-path of epp serve.")


def main(argv: Sequence[str]) -> int:
    """Lists, or writes a new one; the exit code."""
    if argv and argv[0] == "new":
        return new(argv[1:])
    wanted: list[str] = []
    settings = parse_flags(ListSettings, argv, program="epp plugins [TYPE...] | new NAME", operands=wanted)
    catalogue = load_catalogue(settings.plugin_path)
    types = catalogue.types
    unknown = [name for name in wanted if name not in types]
    for name in unknown:
        print(f"epp plugins: {catalogue.objection(name)}", file=sys.stderr)
    if unknown:
        return 1
    shown = [types[name] for name in wanted or sorted(types)]
    if settings.json:
        print(json.dumps([_as_json(each) for each in shown], indent=2))
    else:
        print("\n".join("\n".join(_as_text(each)) for each in shown))
    return 0


def new(argv: Sequence[str]) -> int:
    """Writes a plugin that works, and its test."""
    names: list[str] = []
    settings = parse_flags(NewSettings, argv, program="epp plugins new NAME", operands=names)
    if len(names) != 1:
        print("epp plugins new: one NAME, such as nearest-scorer", file=sys.stderr)
        return _USAGE_ERROR
    if names[0] in OWN_TYPES.types:
        raise ConfigError([Fault("command line", 0, names[0], "is a type of the picker itself")])
    directory = Path(settings.directory)
    files = {directory / name: text for name, text in skeleton(names[0], settings.kind).items()}
    for path in files:
        if path.exists():
            raise ConfigError([Fault(str(path), 0, "", "exists already")])
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text)
        print(f"wrote {path}")
    print(f"try it: python -m pytest {directory}; epp plugins {names[0]} --plugin-path {directory}")
    return 0


def _as_text(plugin_type: PluginType) -> Iterator[str]:
    yield f"{plugin_type.name} ({plugin_type.kind_words})"
    about = plugin_type.meaning + ("" if plugin_type.used else " (Checked and kept; no effect of its own.)")
    yield from textwrap.wrap(about, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    if plugin_type.origin:
        yield f"  from {plugin_type.origin}"
    for parameter in parameters_of(plugin_type.cls):
        yield f"    {parameter.path}: {parameter.kind}; {_default(parameter)}".replace("`", "")
        yield from textwrap.wrap(parameter.meaning, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)


def _default(parameter: Parameter) -> str:
    return "needed" if parameter.required else f"default {parameter.default_words}"


def _as_json(plugin_type: PluginType) -> dict[str, Any]:
    return {
        "type": plugin_type.name,
        "kinds": sorted(plugin_type.kinds),
        "meaning": plugin_type.meaning,
        "used": plugin_type.used,
        "origin": plugin_type.origin,
        "parameters": [asdict(parameter) for parameter in parameters_of(plugin_type.cls)],
    }
