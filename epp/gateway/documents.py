"""The files that `epp up` writes for the picker: the pool, and a configuration. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from epp.gateway.settings import TcpAddress
from epp.scheduling.default import DEFAULT_TEXT

# The two InferenceObjectives of the reference's deployment guide.
OBJECTIVES = {"food-review": 1, "base-model": 2}

# Endpoints that the picker names for each request: the second is where Envoy turns when it cannot reach the
# first.
ENDPOINTS_NAMED = 2

_PICKER = "max-score-picker"


def pool_file(servers: Sequence[TcpAddress]) -> str:
    """A pool file with these servers and the guide's objectives."""
    return _yaml(
        {
            "pool": {"name": "epp-up", "namespace": "default", "targetPorts": [servers[0].port]},
            "endpoints": [{"address": server.host, "port": server.port} for server in servers],
            "objectives": [{"name": name, "priority": priority} for name, priority in OBJECTIVES.items()],
        }
    )


def fallback_config() -> str:
    """The picker's built-in configuration, but that it names a fallback for each request."""
    document = yaml.safe_load(DEFAULT_TEXT)
    document["plugins"].append({"type": _PICKER, "parameters": {"maxNumOfEndpoints": ENDPOINTS_NAMED}})
    document["schedulingProfiles"][0]["plugins"].append({"pluginRef": _PICKER})
    return _yaml(document)


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
