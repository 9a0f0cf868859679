"""What `epp up` says once everything is ready: what runs where, and what to try. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from epp.gateway.demo_requests import MAX_TOKENS, Models
from epp.gateway.up_settings import HOST, UpSettings
from epp.types import EndpointSpec


def render_welcome(
    settings: UpSettings, endpoints: Sequence[EndpointSpec], models: Models | None
) -> list[str]:
    """The lines; `models` None: the servers do not say what they serve."""
    gateway, picker = f"http://{HOST}:{settings.port}", f"http://{HOST}:{settings.metrics_port}"
    servers = ", ".join(endpoint.address for endpoint in endpoints)
    return [
        f"gateway  {gateway}  ({settings.cluster}; Envoy's admin page: http://{HOST}:{settings.admin_port})",
        f"picker   {picker}/metrics  /debug/endpoints  /debug/decisions  (ext_proc on {settings.grpc_port})",
        f"servers  {servers or 'none yet'}{'  (simulated)' if settings.simulated else ''}",
        f"models   {', '.join((models.base, *models.adapters)) if models else 'the servers do not say'}",
        "",
        f"Try:  {_curl(gateway, models)}",
        "Ctrl-C ends it all.",
        "",
    ]


def _curl(gateway: str, models: Models | None) -> str:
    """The deployment guide's request, of an adapter if there is one."""
    if models is None:
        return f"curl {gateway}/v1/models"
    body = {
        "model": models.adapters[0] if models.adapters else models.base,
        "prompt": "Write as if you were a critic: San Francisco",
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
    }
    return f"curl {gateway}/v1/completions -H 'content-type: application/json' -d '{json.dumps(body)}'"
