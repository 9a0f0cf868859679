"""Envoy's bootstrap: one listener that asks the picker about each request and follows its choice. Pure.

    client ─▶ listener ─▶ header_mutation ─▶ ext_proc ─▶ router ─▶ cluster "model-servers" ─▶ vLLM
                          (strips the       │     ▲
                           client's copy)   ▼     │
                                       cluster "picker"

Field names: Envoy's API v3, as Envoy 1.40 validates it.
"""

from __future__ import annotations

from typing import Any

from epp.gateway.clusters import model_servers, picker
from epp.gateway.listener import http_listener
from epp.gateway.settings import GatewaySettings

# Connections from clients at one time. Envoy warns where nothing bounds them; its documentation's advice for
# the edge of a network uses this number.
MAX_CLIENT_CONNECTIONS = 50_000

# File-based EDS needs the proxy to have a name; nothing else depends on it.
NODE = {"id": "epp-gateway", "cluster": "epp"}

Json = dict[str, Any]


def envoy_bootstrap(settings: GatewaySettings) -> Json:
    """The bootstrap as plain data, for JSON or YAML. The settings have to be free of complaints."""
    return {
        "node": NODE,
        "admin": {"address": _loopback(settings.admin_port)},
        "static_resources": {
            "listeners": [http_listener(settings)],
            "clusters": [model_servers(settings), picker(settings)],
        },
        "overload_manager": {"resource_monitors": [_connection_limit()]},
    }


def _loopback(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _connection_limit() -> Json:
    return {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3"
            ".DownstreamConnectionsConfig",
            "max_active_downstream_connections": MAX_CLIENT_CONNECTIONS,
        },
    }
