"""The files that `epp up` writes for the picker: the pool, and a configuration. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from epp.config.picker import PluginRef
from epp.gateway.settings import TcpAddress
from epp.scheduling.build import DEFAULT_CONFIG

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
    (profile,) = DEFAULT_CONFIG.profiles
    plugins = [
        {"name": plugin.name, "type": plugin.type, "parameters": dict(plugin.parameters)}
        for plugin in DEFAULT_CONFIG.plugins
    ]
    picker = {"type": _PICKER, "parameters": {"maxNumOfEndpoints": ENDPOINTS_NAMED}}
    return _yaml(
        {
            "apiVersion": "inference.networking.x-k8s.io/v1alpha1",
            "kind": "EndpointPickerConfig",
            "plugins": [*plugins, picker],
            "schedulingProfiles": [
                {
                    "name": profile.name,
                    "plugins": [*map(_reference, profile.plugins), {"pluginRef": _PICKER}],
                }
            ],
        }
    )


def _reference(ref: PluginRef) -> dict[str, Any]:
    return {"pluginRef": ref.name} if ref.weight is None else {"pluginRef": ref.name, "weight": ref.weight}


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
