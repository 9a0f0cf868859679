"""The servers' side of the bootstrap: the model servers in either shape, and the picker. Pure."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from epp.extproc.names import DESTINATION, LB_NAMESPACE
from epp.gateway.settings import GatewaySettings, TcpAddress, UnixAddress, read_address

MODEL_SERVERS = "model-servers"
PICKER = "picker"

# Bytes that Envoy holds for one connection before it stops reading, and so the most that it sends to the
# picker in one message of a FULL_DUPLEX_STREAMED body: below the 4 MiB at which a gRPC server refuses one
# unless told otherwise.
BUFFER_LIMIT = 3 * 1024 * 1024

# Envoy's default circuit breakers let 1024 requests (and 3 retries) be under way and answer 503 to the rest.
# A generation runs for minutes, and how many may wait is the picker's affair: as in the reference's chart,
# high enough never to be what throttles.
UNDER_WAY = 40_000

# Seconds to a TCP connection: long enough for two lost SYNs (sent again after 1 s and 3 s).
CONNECT_TIMEOUT = 5

# Seconds until Envoy closes an idle connection to a model server. uvicorn, which serves vLLM, closes after 5;
# a request sent just then would be lost, so Envoy has to be the first.
UPSTREAM_IDLE_TIMEOUT = 4

# Seconds between two looks at the picker's health, how long one may take, and how many bad ones in a row put
# it out. A picker that is gone is noticed after two seconds, one that hangs after six.
HEALTH_INTERVAL = 1
HEALTH_TIMEOUT = 2
UNHEALTHY_AFTER = 2

# Seconds between two looks at a picker that is out: what a restarted one waits for at most.
UNHEALTHY_INTERVAL = 0.5

# With --fail-open, streams lost in a row before Envoy goes on without the picker, for a second and then as
# long as its health says. Of 400 requests sent while a picker was away 4 were lost; by its health alone, 78.
LOST_STREAMS = 3

# The name under which the picker reports the health of its ext_proc service.
HEALTH_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"

_POLICIES = "type.googleapis.com/envoy.extensions.load_balancing_policies"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Json = dict[str, Any]


def seconds(value: float) -> str:
    """A protobuf Duration as JSON writes it."""
    return f"{value:g}s"


def model_servers(settings: GatewaySettings) -> Json:
    """The cluster of the vLLM servers, which follows the picker's choice in the shape asked for."""
    shape = _override_host(settings) if settings.cluster == "override_host" else _original_dst()
    return {
        "name": MODEL_SERVERS,
        **shape,
        "connect_timeout": seconds(CONNECT_TIMEOUT),
        "per_connection_buffer_limit_bytes": BUFFER_LIMIT,
        "circuit_breakers": _circuit_breakers(),
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "common_http_protocol_options": {"idle_timeout": seconds(UPSTREAM_IDLE_TIMEOUT)},
                "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
            }
        },
    }


def picker(settings: GatewaySettings) -> Json:
    """The cluster of the picker: HTTP/2, over TLS unless that is switched off."""
    address = read_address(settings.picker)
    cluster: Json = {
        "name": PICKER,
        "type": "STRICT_DNS" if isinstance(address, TcpAddress) and not address.is_ip else "STATIC",
        "dns_lookup_family": "ALL",  # of several addresses its health tells the right ones
        "connect_timeout": seconds(CONNECT_TIMEOUT),
        "circuit_breakers": _circuit_breakers(),
        "load_assignment": {
            "cluster_name": PICKER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _envoy_address(address)}}]}],
        },
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    if settings.picker_tls:
        cluster["transport_socket"] = _tls(address, settings.picker_ca)
    if settings.fail_open:
        cluster["outlier_detection"] = _outlier_detection()
    return cluster | _health_check(settings)


def _override_host(settings: GatewaySettings) -> Json:
    """Endpoints from a file; the picker's list first, in its order, and least-loaded where it has none left.

    The metadata stands before the header because no client can reach it.
    """
    file = PurePath(settings.eds_file)
    sources = [
        {"metadata": {"key": LB_NAMESPACE, "path": [{"key": DESTINATION}]}},
        {"header": DESTINATION},
    ]
    fallback = _policy("least_request", "LeastRequest", {})
    override = _policy(
        "override_host",
        "OverrideHost",
        {"override_host_sources": sources, "fallback_policy": {"policies": [fallback]}},
    )
    return {
        "type": "EDS",
        "eds_cluster_config": {
            "eds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": str(file), "watched_directory": {"path": str(file.parent)}},
            }
        },
        "load_balancing_policy": {"policies": [override]},
    }


def _original_dst() -> Json:
    return {
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "original_dst_lb_config": {"use_http_header": True, "http_header_name": DESTINATION},
    }


def _policy(name: str, message: str, fields: Json) -> Json:
    return {
        "typed_extension_config": {
            "name": f"envoy.load_balancing_policies.{name}",
            "typed_config": {"@type": f"{_POLICIES}.{name}.v3.{message}", **fields},
        }
    }


def _circuit_breakers() -> Json:
    limits = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {"thresholds": [dict.fromkeys(limits, UNDER_WAY)]}


def _envoy_address(address: TcpAddress | UnixAddress) -> Json:
    if isinstance(address, UnixAddress):
        return {"pipe": {"path": address.path}}
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _tls(address: TcpAddress | UnixAddress, ca: str) -> Json:
    common: Json = {"alpn_protocols": ["h2"]}
    if ca and isinstance(address, TcpAddress):
        kind = "IP_ADDRESS" if address.is_ip else "DNS"
        common["validation_context"] = {
            "trusted_ca": {"filename": ca},
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": address.host}}],
        }
    context: Json = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": common,
    }
    if isinstance(address, TcpAddress) and not address.is_ip:
        context["sni"] = address.host
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _health_check(settings: GatewaySettings) -> Json:
    """A picker that fails it gets no new streams; those that it has stay with it.

    Without it --fail-open would not work with FULL_DUPLEX_STREAMED bodies: Envoy lets a request pass only if
    the picker fails before the first piece of its body is there, so it has to know beforehand. And a picker
    that hangs would be given every request.
    """
    grpc = {"grpc_health_check": {"service_name": HEALTH_SERVICE}}
    connect: Json = {"tcp_health_check": {}}
    check = {
        "interval": seconds(HEALTH_INTERVAL),
        "no_traffic_interval": seconds(HEALTH_INTERVAL),  # Envoy's default of 60 s is how late it would know
        "unhealthy_interval": seconds(UNHEALTHY_INTERVAL),
        "timeout": seconds(HEALTH_TIMEOUT),
        "unhealthy_threshold": UNHEALTHY_AFTER,
        "healthy_threshold": 1,
        **(grpc if settings.picker_health_check else connect),
    }
    return {
        "health_checks": [check],
        # Envoy's default of 50 % would go on using the only picker there is.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def _outlier_detection() -> Json:
    return {
        "split_external_local_origin_errors": True,  # what the picker answers is no sign of its absence
        "enforcing_consecutive_5xx": 0,
        "consecutive_local_origin_failure": LOST_STREAMS,
        "interval": "1s",
        "base_ejection_time": "1s",
        "max_ejection_percent": 100,  # of the only one there is
    }
