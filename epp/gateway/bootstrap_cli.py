"""`epp envoy-config`: prints Envoy's bootstrap."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import yaml

from epp.config.flags import parse_flags
from epp.gateway.bootstrap import envoy_bootstrap
from epp.gateway.settings import GatewaySettings


def main(argv: Sequence[str]) -> int:
    """Prints the bootstrap that the flags in `argv` ask for, in YAML.

    Raises HelpRequested and ConfigError as `parse_flags` does.
    """
    settings = parse_flags(GatewaySettings, argv, program="epp envoy-config")
    yaml.safe_dump(envoy_bootstrap(settings), sys.stdout, sort_keys=False)
    return 0
