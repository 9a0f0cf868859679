"""`epp`: from the arguments to the exit code. Each command reads its own flags."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from epp.config.flags import HelpRequested
from epp.errors import ConfigError

USAGE = """epp: an endpoint picker for LLM inference gateways

  epp serve          the picker: answers Envoy's ext_proc on port 9002
  epp up             everything on this machine: Envoy, the picker, and simulated or real model servers
  epp sim            simulated vLLM servers
  epp simulate       policies compared on a workload, in virtual time
  epp explain ID     why a request went where it did, by the request's id
  epp envoy-config   print the Envoy configuration that `epp up` uses
  epp config         check an EndpointPickerConfig, show what it comes to, print its JSON Schema
  epp plugins        every plugin type with its parameters; `epp plugins new NAME` writes one to begin with

`epp COMMAND --help` lists a command's flags.
"""

# What a shell expects of a command that was called wrongly.
_USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code."""
    command, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    run = _command(command)
    if run is None:
        print(f"epp: there is no command {command!r}\n\n{USAGE}", end="", file=sys.stderr)
        return _USAGE_ERROR
    try:
        code = _run(run, rest)
        sys.stdout.flush()
    except BrokenPipeError:  # a pager, or `head`, that has seen enough
        # What is still to be written would fail again when the interpreter closes its files.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(run: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    try:
        return run(argv)
    except HelpRequested as asked:
        print(asked.text)
        return 0
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _USAGE_ERROR


def _command(name: str) -> Callable[[Sequence[str]], int] | None:
    # Imported when called: `epp sim` needs no gRPC, and `epp serve` no Envoy.
    match name:
        case "serve":
            from epp.app import main as run
        case "up":
            from epp.gateway.up import main as run
        case "sim":
            from epp.sim.main import main as run
        case "simulate":
            from epp.simulate.main import main as run
        case "explain":
            from epp.explain import main as run
        case "envoy-config":
            from epp.gateway.bootstrap_cli import main as run
        case "config":
            from epp.commands.config import main as run
        case "plugins":
            from epp.commands.plugins import main as run
        case _:
            return None
    return run
