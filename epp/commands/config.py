"""`epp config`: checks a configuration, shows what it comes to, and prints the schema for editors."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epp.config.catalogue import Catalogue
from epp.config.document import read_text
from epp.config.effective import effective_text
from epp.config.flags import flag, parse_flags
from epp.config.picker import load_picker_config
from epp.config.picker_schema import picker_schema
from epp.datastore.store import Datastore
from epp.discovery import load_catalogue
from epp.errors import ConfigError
from epp.scheduling.build import build_policy
from epp.scheduling.default import DEFAULT_TEXT
from epp.scheduling.policy import Policy

USAGE = """epp config: EndpointPickerConfig files

  epp config check FILE...   what is wrong or odd in each; exit code 1 if anything is wrong
  epp config show [FILE]     what it comes to, every default filled in; without FILE the built-in one
  epp config schema          the JSON Schema of the file, for editors

FILE may be -, the standard input. Each takes --plugin-path DIR, as epp serve does.
"""

_USAGE_ERROR = 2


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """What every command that knows plugins can be told."""

    plugin_path: str = flag("", help="Directory with plugins of your own, as epp serve takes it.")


def main(argv: Sequence[str]) -> int:
    """Runs one of them; its exit code."""
    command, *rest = argv or ["--help"]
    if command in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    run = {"check": check, "show": show, "schema": schema}.get(command)
    if run is None:
        print(f"epp config: there is no command {command!r}\n\n{USAGE}", end="", file=sys.stderr)
        return _USAGE_ERROR
    return run(rest)


def check(argv: Sequence[str]) -> int:
    """0 if every file can be used, warnings or not; 1 if one cannot."""
    files: list[str] = []
    settings = parse_flags(PluginSettings, argv, program="epp config check FILE...", operands=files)
    if not files:
        print("epp config check: which FILE?", file=sys.stderr)
        return _USAGE_ERROR
    try:
        types = load_catalogue(settings.plugin_path)
    except ConfigError as error:
        return _told(error)
    return max([_check(file, types) for file in files])


def show(argv: Sequence[str]) -> int:
    """Prints the configuration with everything that it leaves out, or its faults."""
    files: list[str] = []
    settings = parse_flags(PluginSettings, argv, program="epp config show [FILE]", operands=files)
    if len(files) > 1:
        print("epp config show: one FILE at a time", file=sys.stderr)
        return _USAGE_ERROR
    types = load_catalogue(settings.plugin_path)
    try:
        policy = (
            _policy(_read(files[0]), files[0], types) if files else _policy(DEFAULT_TEXT, "built-in", types)
        )
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    print(effective_text(policy.in_force), end="")
    return 0


def schema(argv: Sequence[str]) -> int:
    """Prints the JSON Schema."""
    settings = parse_flags(PluginSettings, argv, program="epp config schema")
    print(schema_text(load_catalogue(settings.plugin_path)), end="")
    return 0


def schema_text(types: Catalogue) -> str:
    """The schema as deploy/epp-config.schema.json has it."""
    return json.dumps(picker_schema(types), indent=2) + "\n"


def _check(file: str, types: Catalogue) -> int:
    try:
        policy = _policy(_read(file), file, types)
    except ConfigError as error:
        return _told(error)
    for warning in policy.config.warnings:
        print(f"warning: {warning}")
    print(f"{file}: can be used")
    return 0


def _told(error: ConfigError) -> int:
    print(error)
    return 1


def _policy(text: str, file: str, types: Catalogue) -> Policy:
    """Built with an empty pool, because some faults show only when plugins are set up."""
    return build_policy(load_picker_config(text, file, types), Datastore(), staleness=1.0)


def _built_in(types: Catalogue) -> Policy:
    return _policy(DEFAULT_TEXT, "the built-in configuration", types)


def _read(file: str) -> str:
    return sys.stdin.read() if file == "-" else read_text(Path(file), file)
