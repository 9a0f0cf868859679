"""The client's side of the bootstrap: listener, HTTP filters and the one route. Pure."""

from __future__ import annotations

from typing import Any

from epp.extproc.names import DESTINATION, LB_NAMESPACE, SERVED, SUBSET, SUBSET_NAMESPACE, UPSTREAM_ADDRESS
from epp.gateway.clusters import BUFFER_LIMIT, MODEL_SERVERS, PICKER, seconds
from epp.gateway.settings import GatewaySettings

# Seconds that the picker may think about one message: as long as a request may wait in its queue. The
# reference's Envoy configuration has the same; Envoy's default of 200 ms is for filters that only look. Envoy
# 1.40 does not look at it in FULL_DUPLEX_STREAMED mode, where IDLE_TIMEOUT is the only bound.
MESSAGE_TIMEOUT = 1000

# Seconds without a byte either way before Envoy gives a request up. It has to be longer than the wait in the
# picker's queue and a long prefill after it; Envoy's default of five minutes is not.
IDLE_TIMEOUT = 1800

# Attempts after the first: the fallbacks of the picker's list, then endpoints of Envoy's own choice.
RETRIES = 3

# Draws of an endpoint for each of these attempts, until it is one that was not tried. Envoy draws the less
# busy of two, and one that is gone is never busy: with two endpoints, of which one was gone, 17 of 400
# requests still went there after 3 draws each, and none after 20.
HOST_SELECTIONS = 20

# What is safe to try again: nothing of the request had reached a server.
RETRY_ON = "connect-failure,refused-stream,reset-before-request"

# Bytes of a body that Envoy keeps to send it to another server: the picker's own default limit on bodies. In
# the buffered modes it is also where Envoy answers 413, and the picker has to take messages of that size.
RETRY_BUFFER_LIMIT = 64 * 1024 * 1024

_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
_RETRY_HOST = "type.googleapis.com/envoy.extensions.retry.host"

Json = dict[str, Any]


def http_listener(settings: GatewaySettings) -> Json:
    """The listener with everything that a request passes before it leaves for a server."""
    address = {"address": settings.host, "port_value": settings.port}
    return {
        "name": "gateway",
        "address": {"socket_address": {**address, "ipv4_compat": settings.host == "::"}},
        "per_connection_buffer_limit_bytes": BUFFER_LIMIT,
        "filter_chains": [{"filters": [_connection_manager(settings)]}],
    }


def _connection_manager(settings: GatewaySettings) -> Json:
    # HTTP/1.1 trailers are dropped, as Envoy does by default: with a retry policy it would send the body of a
    # request that has trailers twice, once as the picker returns it and once from what it keeps for a retry
    # (seen with Envoy 1.40, FULL_DUPLEX_STREAMED). HTTP/2 has no such switch.
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
            "stat_prefix": "gateway",
            "use_remote_address": True,  # believe the socket, and not x-forwarded-for
            "preserve_external_request_id": True,  # a client can find its request in /debug/decisions
            "stream_idle_timeout": seconds(IDLE_TIMEOUT),
            "access_log": [_access_log(settings.access_log)] if settings.access_log else [],
            "http_filters": [_strip_filter(), _picker_filter(settings), _router_filter()],
            "route_config": {
                "name": "all",
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [_route(settings)]}],
            },
        },
    }


def _strip_filter() -> Json:
    """Takes the client's copies of the picker's headers out before anything reads them.

    ORIGINAL_DST connects to whatever address the header holds: with the client's copy left in, and the picker
    down with --fail-open, it would be a proxy to anywhere.
    """
    return {
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": f"{_HTTP}.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": [{"remove": name} for name in (DESTINATION, SERVED, SUBSET)]},
        },
    }


def _picker_filter(settings: GatewaySettings) -> Json:
    return {
        "name": "envoy.filters.http.ext_proc",
        "typed_config": {
            "@type": f"{_HTTP}.ext_proc.v3.ExternalProcessor",
            # No timeout here: it would bound the whole stream, and so the answer.
            "grpc_service": {"envoy_grpc": {"cluster_name": PICKER}},
            "failure_mode_allow": settings.fail_open,
            "message_timeout": seconds(MESSAGE_TIMEOUT),
            "processing_mode": {
                "request_header_mode": "SEND",
                "response_header_mode": "SEND",
                "request_body_mode": settings.request_body_mode,
                "response_body_mode": settings.response_body_mode,
                "request_trailer_mode": "SEND",  # FULL_DUPLEX_STREAMED wants both
                "response_trailer_mode": "SEND",
            },
            "response_attributes": [UPSTREAM_ADDRESS],  # who really served, after retries
            "metadata_options": {
                "forwarding_namespaces": {"untyped": [LB_NAMESPACE, SUBSET_NAMESPACE]},
                "receiving_namespaces": {"untyped": [LB_NAMESPACE]},
            },
        },
    }


def _router_filter() -> Json:
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_HTTP}.router.v3.Router"}}


def _route(settings: GatewaySettings) -> Json:
    route: Json = {
        "match": {"prefix": "/"},
        "request_body_buffer_limit": RETRY_BUFFER_LIMIT,
        "route": {
            "cluster": MODEL_SERVERS,
            "timeout": "0s",  # an answer may be long; IDLE_TIMEOUT bounds its pauses
            "retry_policy": {
                "retry_on": RETRY_ON,
                "num_retries": RETRIES,
                "retry_host_predicate": [_previous_hosts()],
                "host_selection_retry_max_attempts": HOST_SELECTIONS,
            },
        },
    }
    if settings.served_by_header:
        route["response_headers_to_add"] = [_served_by()]
    return route


def _previous_hosts() -> Json:
    return {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {"@type": f"{_RETRY_HOST}.previous_hosts.v3.PreviousHostsPredicate"},
    }


def _served_by() -> Json:
    return {
        "header": {"key": "x-served-by", "value": "%UPSTREAM_REMOTE_ADDRESS%"},
        "append_action": "ADD_IF_ABSENT",
    }


def _access_log(path: str) -> Json:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
        },
    }
