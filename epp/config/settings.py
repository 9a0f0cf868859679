"""The settings of `epp serve`: every flag of the reference (the inference extension's v1.0.1 and v1.5), with
the defaults of v1.5, and our own.

A reference argument vector starts this picker unchanged. Flags that are only taken for that reason say so in
their help. Where the two versions disagree:

- the names of the engine's metrics (--total-queued-requests-metric and its kind) are fatal in v1.5; here they
  override the name for every engine, as in v1.0.1;
- --config-file or --config-text had to be given in v1.0.1; here as in v1.5 there is a built-in configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from epp.config.flag_values import Unquoted
from epp.config.flags import Complaint, Seconds, flag, parse_flags
from epp.config.selector import read_selector

# InferencePool v1 has at most this many target ports, and so has --endpoint-target-ports.
MAX_TARGET_PORTS = 8

_TAKEN = "Taken so that the reference's arguments start this picker; "


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Everything `epp serve` can be told on its command line."""

    pool_file: str = flag(
        "",
        heading="The pool",
        help="File with the pool, its endpoints, objectives and rewrites, instead of Kubernetes; read again "
        "when it changes.",
    )
    pool_name: str = flag(
        "", help="Name of the InferencePool. It, --endpoint-selector or --pool-file has to be given."
    )
    pool_namespace: str = flag(
        "",
        help="Namespace of the pool, and of the pool file's where it gives none; unset: the environment's "
        'NAMESPACE, or "default".',
    )
    pool_group: Literal["inference.networking.k8s.io", "inference.networking.x-k8s.io"] = flag(
        "inference.networking.k8s.io",
        help="API group of the InferencePool: its v1 in inference.networking.k8s.io, its v1alpha2 in "
        "inference.networking.x-k8s.io. Objectives and rewrites have to name the same group.",
    )
    endpoint_selector: str = flag(
        "",
        help="Labels of the pods to choose among (app=vllm,zone=a), where there is no InferencePool. With "
        "--endpoint-target-ports.",
    )
    endpoint_target_ports: tuple[int, ...] = flag(
        (), help="Ports of the pods that --endpoint-selector finds; each is an endpoint."
    )
    kubeconfig: str = flag(
        "",
        help="File that says where the API server is; unset: $KUBECONFIG, the cluster that this runs in, or "
        "~/.kube/config.",
    )
    disable_endpoint_subset_filter: bool = flag(
        False,
        help="Ignore the gateway's subset hint and choose among all endpoints. Off, because a gateway that "
        "names a subset may reach no other endpoint.",
    )

    config_file: str = flag(
        "",
        heading="Configuration",
        help="File with an EndpointPickerConfig (YAML or JSON). Without it and --config-text the built-in "
        "one counts.",
    )
    config_text: str = flag("", help="The EndpointPickerConfig itself, instead of --config-file.")
    plugin_path: str = flag(
        "",
        help="Directory with plugins of your own: each class with a plugin's method in its .py files is a "
        "type that the configuration may name. Read once, at the start.",
    )

    bind_address: str = flag(
        "",
        heading="Serving",
        help="Address to listen on, for every port; unset: all addresses, as a container needs it.",
    )
    grpc_port: int = flag(9002, help="Port of ext_proc (gRPC). The reference's, which its charts wire up.")
    grpc_health_port: int = flag(9003, help="Port of grpc.health.v1, plaintext, for probes.")
    metrics_port: int = flag(9090, help="Port of /metrics, /healthz, /readyz and /debug (HTTP).")
    secure_serving: bool = flag(
        True,
        help="Serve ext_proc over TLS, as gateways expect it; with a self-signed certificate unless "
        "--cert-path is given.",
    )
    cert_path: str = flag(
        "",
        help="Directory with tls.crt and tls.key; unset: a self-signed certificate. A changed pair is shown "
        "from the next handshake on.",
    )
    enable_cert_reload: bool = flag(False, help=f"{_TAKEN}a changed certificate is always loaded again.")
    health_checking: bool = flag(
        False, help="Answer grpc.health.v1 on --grpc-port too, for gateways that check the port they use."
    )
    transport: Literal["h2", "grpcio"] = flag(
        "h2",
        help="What carries ext_proc: our own HTTP/2, or gRPC's own library, which needs more CPU.",
    )
    drain_timeout: Seconds = flag(
        Seconds(30),
        help="After SIGTERM: how long open streams may go on. Stay below the pod's "
        "terminationGracePeriodSeconds, which is 130 s in the reference's charts.",
    )

    max_request_bytes: int = flag(
        64 * 1024 * 1024,
        heading="Requests",
        help="Largest request body in bytes; above it the answer is 413. 64 MiB holds a prompt with several "
        "images and still bounds memory.",
    )
    emit_endpoint_scores: bool = flag(
        False,
        help="Tell the gateway how each endpoint scored, as dynamic metadata "
        "envoy.lb/x-gateway-destination-endpoint-scores.",
    )
    strict_paths: bool = flag(
        False,
        help="Answer 404 to paths of no known API. Off, because a server may have paths that the picker has "
        "never heard of.",
    )

    refresh_metrics_interval: Seconds = flag(
        Seconds(0.05),
        heading="Endpoint load",
        help="Time between two scrapes of an endpoint that is at work; an idle pool is scraped more slowly. "
        "The reference's value: a queue grows within tens of milliseconds.",
    )
    metrics_staleness_threshold: Seconds = flag(
        Seconds(2),
        help="Age at which what an endpoint said of its load is no longer believed. The reference's value: "
        "forty scrapes missed.",
    )
    refresh_prometheus_metrics_interval: Seconds = flag(
        Seconds(5),
        help="Time between two updates of the pool's gauges on /metrics. No decision waits for them.",
    )
    model_server_metrics_port: int = flag(
        0, help="Port to scrape; 0: the endpoint's own. For servers whose metrics have a port of their own."
    )
    model_server_metrics_path: Unquoted = flag(Unquoted("/metrics"), help="Path to scrape.")
    model_server_metrics_scheme: Literal["http", "https"] = flag("http", help="Scheme to scrape with.")
    model_server_metrics_https_insecure_skip_verify: bool = flag(
        True,
        help="Do not verify the certificate of an https scrape: model servers rarely have one that is known.",
    )
    total_queued_requests_metric: Unquoted | None = flag(
        None, help="Name of the queue's metric, for every engine; unset: by the endpoint's engine."
    )
    total_running_requests_metric: Unquoted | None = flag(
        None, help="Name of the metric of running requests; unset: by engine."
    )
    kv_cache_usage_percentage_metric: Unquoted | None = flag(
        None, help="Name of the metric of KV-cache use (0 to 1); unset: by engine."
    )
    lora_info_metric: Unquoted | None = flag(
        None, help='Name of the metric that lists adapters; unset: by engine; empty (""): none is read.'
    )
    cache_info_metric: Unquoted | None = flag(
        None, help="Name of the metric with the KV cache's block size and number of blocks; unset: by engine."
    )

    verbosity: int = flag(
        2,
        name="v",
        heading="Logs and operation",
        help="Detail of the logs: 2 says what changes, 3 adds a line per request, 4 and 5 are for debugging.",
    )
    zap_devel: bool = flag(False, help=f"{_TAKEN}logs do not change.")
    zap_encoder: Literal["json", "console"] = flag("json", help=f"{_TAKEN}logs are always JSON lines.")
    zap_log_level: str = flag("", help=f"{_TAKEN}--v sets the level.")
    zap_stacktrace_level: str = flag("", help=f"{_TAKEN}an unexpected error always has its traceback.")
    zap_time_encoding: str = flag("", help=f"{_TAKEN}times are always RFC 3339, in UTC.")
    enable_pprof: bool = flag(True, help=f"{_TAKEN}there are no pprof pages.")
    tracing: bool = flag(True, help=f"{_TAKEN}no spans are made.")
    metrics_endpoint_auth: bool = flag(
        True,
        help="/metrics and /debug want a bearer token that Kubernetes knows, of somebody who may get the "
        "path as a nonResourceURL. Not with --pool-file, where there is nobody to ask.",
    )
    ha_enable_leader_election: bool = flag(
        False,
        help="Of several replicas only one is ready, by a Lease in the pool's namespace, so that requests "
        "meet one prefix index; another takes over when it goes.",
    )

    def complaints(self) -> Iterator[Complaint]:
        """What is wrong with values that could each be read."""
        yield from self._pool_complaints()
        yield from self._port_complaints()
        if self.config_file and self.config_text:
            yield Complaint(("config-text", "config-file"), "cannot go together with --config-file; give one")
        if not self.model_server_metrics_path.startswith("/"):
            yield Complaint(("model-server-metrics-path",), 'has to begin with "/"')
        for name, seconds in (
            ("refresh-metrics-interval", self.refresh_metrics_interval),
            ("metrics-staleness-threshold", self.metrics_staleness_threshold),
            ("refresh-prometheus-metrics-interval", self.refresh_prometheus_metrics_interval),
        ):
            if seconds <= 0:
                yield Complaint((name,), "has to be longer than 0s")
        if self.drain_timeout < 0:
            yield Complaint(("drain-timeout",), "cannot be negative")
        if self.max_request_bytes < 1:
            yield Complaint(("max-request-bytes",), "has to be at least 1")
        if self.verbosity < 0:
            yield Complaint(("v",), "cannot be negative")

    def _pool_complaints(self) -> Iterator[Complaint]:
        if not (self.pool_file or self.pool_name or self.endpoint_selector):
            yield Complaint(("pool-name",), "is needed, or --endpoint-selector, or --pool-file")
        if self.pool_name and self.endpoint_selector:
            yield Complaint(
                ("endpoint-selector", "pool-name"), "cannot go together with --pool-name; give one"
            )
        if self.endpoint_selector:
            try:
                read_selector(self.endpoint_selector)
            except ValueError as error:
                yield Complaint(("endpoint-selector",), str(error))
            if not (self.endpoint_target_ports or self.pool_file):
                yield Complaint(("endpoint-target-ports",), "is needed with --endpoint-selector")
        if len(self.endpoint_target_ports) > MAX_TARGET_PORTS:
            yield Complaint(("endpoint-target-ports",), f"has more than {MAX_TARGET_PORTS} ports")
        for port in self.endpoint_target_ports:
            if not _is_port(port):
                yield Complaint(("endpoint-target-ports",), f"{port} is no port; ports go from 1 to 65535")

    def _port_complaints(self) -> Iterator[Complaint]:
        seen: dict[int, str] = {}
        for name, port in (
            ("grpc-port", self.grpc_port),
            ("grpc-health-port", self.grpc_health_port),
            ("metrics-port", self.metrics_port),
        ):
            if not _is_port(port):
                yield Complaint((name,), f"{port} is no port; ports go from 1 to 65535")
            elif port in seen:
                yield Complaint((name, seen[port]), f"{port} is already the port of --{seen[port]}")
            seen.setdefault(port, name)
        if self.model_server_metrics_port and not _is_port(self.model_server_metrics_port):
            yield Complaint(
                ("model-server-metrics-port",), f"{self.model_server_metrics_port} is no port; 0 to 65535"
            )


def read_settings(argv: Sequence[str], environ: Mapping[str, str]) -> ServeSettings:
    """The settings of `epp serve` from its arguments and its environment.

    HelpRequested and ConfigError as `parse_flags` raises them.
    """
    settings = parse_flags(ServeSettings, argv, program="epp serve")
    if settings.pool_namespace:
        return settings
    return replace(settings, pool_namespace=environ.get("NAMESPACE") or "default")


def _is_port(number: int) -> bool:
    return 1 <= number <= 65535
