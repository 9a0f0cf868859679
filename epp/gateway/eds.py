"""The endpoints as Envoy's file-based EDS reads them: `render_eds` is pure, `write_eds` puts it in place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from epp.config.hosts import is_ip
from epp.gateway.clusters import MODEL_SERVERS
from epp.types import EndpointSpec

_CLUSTER_LOAD_ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

# Hexadecimal digits of a version: enough that no two states of a pool share one.
_VERSION_DIGITS = 16


def render_eds(endpoints: Iterable[EndpointSpec]) -> str:
    """The EDS response in JSON; equal sets of endpoints give equal text, whatever their order.

    Endpoints that are not ready are left out, and so are those whose host is no IP address: Envoy refuses a
    whole response for one name in it.
    """
    hosts = sorted({(each.host, each.port) for each in endpoints if each.ready and is_ip(each.host)})
    assignment = {
        "@type": _CLUSTER_LOAD_ASSIGNMENT,
        "cluster_name": MODEL_SERVERS,
        "endpoints": [{"lb_endpoints": [_lb_endpoint(host, port) for host, port in hosts]}],
    }
    version = sha256(json.dumps(assignment).encode()).hexdigest()[:_VERSION_DIGITS]
    return json.dumps({"version_info": version, "resources": [assignment]}, indent=1) + "\n"


def write_eds(path: Path, text: str) -> None:
    """Puts `text` at `path` by rename, so that a reader sees the old file or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _lb_endpoint(host: str, port: int) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
