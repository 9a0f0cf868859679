"""Argument vectors of the reference, as its charts and manifests render them, and what is refused."""

import pytest

from epp.config.flags import HelpRequested
from epp.config.settings import ServeSettings, read_settings
from epp.errors import ConfigError

POOL_FILE = ["--pool-file", "/config/pool.yaml"]

POOL_V1 = [
    *("--pool-name", "vllm-llama3-8b-instruct"),
    *("--pool-namespace", "default"),
    *("--pool-group", "inference.networking.k8s.io"),
]
CHART_V1_0_1 = [*POOL_V1, "--zap-encoder", "json", "--config-file", "/config/default-plugins.yaml"]
CHART_V1_5 = [*POOL_V1, "--zap-encoder", "json", "--config-file", "/config/default-plugins.yaml"]

REFERENCE_ARGV = {
    "v1.0.1 chart": [*CHART_V1_0_1, "--v", "1"],
    "v1.0.1 chart, v1alpha2 pool": [
        *("--pool-name", "p", "--pool-namespace", "n", "--pool-group", "inference.networking.x-k8s.io"),
        *("--zap-encoder", "json", "--config-file", "/config/default-plugins.yaml", "--v", "1"),
    ],
    "v1.0.1 chart, Triton, three replicas": [
        *CHART_V1_0_1,
        *("--total-queued-requests-metric", "nv_trt_llm_request_metrics{request_type=waiting}"),
        *(
            "--kv-cache-usage-percentage-metric",
            "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}",
        ),
        *("--lora-info-metric", ""),
        "--ha-enable-leader-election",
        *("--v", "1"),
    ],
    "v1.0.1 manifest": [
        *("--pool-name", "vllm-llama3-8b-instruct", "--pool-namespace", "default", "--v", "4"),
        *("--zap-encoder", "json", "--grpc-port", "9002", "--grpc-health-port", "9003"),
        *("--config-file", "/config/default-plugins.yaml"),
    ],
    "v1.0.1 with Go's single dashes": [
        "-pool-name",
        "p",
        "-v=4",
        "-secure-serving=false",
        "-grpc-port",
        "9002",
    ],
    "v1.5 chart": [*CHART_V1_5, "--v", "1", "--tracing=false"],
    "v1.5 chart, later rendering": [*CHART_V1_5, "--v=1", "--tracing=true", "--metrics-endpoint-auth=false"],
    "v1.5 chart, booleans as two words": [
        *CHART_V1_5,
        *("--v", "1", "--secure-serving", "false", "--enable-pprof", "true", "--health-checking", "true"),
        "--tracing=false",
    ],
    "v1.5 chart, SGLang": [
        *POOL_V1,
        '--total-queued-requests-metric="sglang:num_queue_reqs"',
        '--kv-cache-usage-percentage-metric="sglang:token_usage"',
        '--lora-info-metric=""',
        *(
            "--zap-encoder",
            "json",
            "--config-file",
            "/config/default-plugins.yaml",
            "--v",
            "1",
            "--tracing=false",
        ),
    ],
    "v1.5 chart, TensorRT-LLM": [
        *POOL_V1,
        '--total-queued-requests-metric="trtllm_num_requests_waiting"',
        '--kv-cache-usage-percentage-metric="trtllm_kv_cache_utilization"',
        '--lora-info-metric=""',
        '--model-server-metrics-path="/prometheus/metrics"',
        *("--zap-encoder", "json", "--config-file", "/config/default-plugins.yaml"),
        *("--ha-enable-leader-election", "--v", "1", "--tracing=false"),
    ],
    "v1.5 standalone chart without a pool": [
        *("--endpoint-selector", "app=vllm,zone=a", "--endpoint-target-ports", "8000,8001"),
        *(
            "--zap-encoder",
            "json",
            "--config-file",
            "/config/default-plugins.yaml",
            "--v",
            "1",
            "--tracing=false",
        ),
    ],
}


def settings(*argv: str, environ: dict[str, str] | None = None) -> ServeSettings:
    return read_settings([*POOL_FILE, *argv], environ or {})


def faults(*argv: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(*argv)
    return [str(fault).removeprefix("command line: ") for fault in caught.value.faults]


@pytest.mark.parametrize("name", REFERENCE_ARGV)
def test_the_references_arguments_start_it(name: str) -> None:
    assert read_settings(REFERENCE_ARGV[name], {}).pool_file == ""


def test_values_of_the_references_arguments_arrive() -> None:
    triton = settings(*REFERENCE_ARGV["v1.0.1 chart, Triton, three replicas"])
    assert triton.total_queued_requests_metric == "nv_trt_llm_request_metrics{request_type=waiting}"
    assert triton.lora_info_metric == ""
    assert triton.cache_info_metric is None
    assert triton.ha_enable_leader_election
    assert triton.verbosity == 1

    two_words = settings(*REFERENCE_ARGV["v1.5 chart, booleans as two words"])
    assert (two_words.secure_serving, two_words.enable_pprof, two_words.health_checking) == (
        False,
        True,
        True,
    )

    tensorrt = settings(*REFERENCE_ARGV["v1.5 chart, TensorRT-LLM"])
    assert tensorrt.model_server_metrics_path == "/prometheus/metrics"
    assert tensorrt.total_queued_requests_metric == "trtllm_num_requests_waiting"
    assert tensorrt.lora_info_metric == ""


def test_defaults_are_those_of_the_reference_and_of_the_issue() -> None:
    found = settings()
    assert (found.grpc_port, found.grpc_health_port, found.metrics_port) == (9002, 9003, 9090)
    assert (found.refresh_metrics_interval, found.refresh_prometheus_metrics_interval) == (0.05, 5)
    assert found.metrics_staleness_threshold == 2
    assert (found.model_server_metrics_path, found.model_server_metrics_scheme) == ("/metrics", "http")
    assert (found.secure_serving, found.health_checking, found.verbosity) == (True, False, 2)
    assert (found.drain_timeout, found.max_request_bytes, found.strict_paths) == (30, 67_108_864, False)


@pytest.mark.parametrize(
    ("argv", "environ", "namespace"),
    [
        ([], {}, "default"),
        ([], {"NAMESPACE": ""}, "default"),
        ([], {"NAMESPACE": "team-a"}, "team-a"),
        (["--pool-namespace", "team-b"], {"NAMESPACE": "team-a"}, "team-b"),
    ],
)
def test_the_namespace_falls_back_to_the_environment(
    argv: list[str], environ: dict[str, str], namespace: str
) -> None:
    assert settings(*argv, environ=environ).pool_namespace == namespace


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            ["--config-file", "a", "--config-text", "b"],
            "--config-text: cannot go together with --config-file; give one",
        ),
        (
            ["--pool-name", "p", "--endpoint-selector", "a=b"],
            "--endpoint-selector: cannot go together with --pool-name; give one",
        ),
        (["--grpc-port", "0"], "--grpc-port: 0 is no port; ports go from 1 to 65535"),
        (["--metrics-port", "65536"], "--metrics-port: 65536 is no port; ports go from 1 to 65535"),
        (["--grpc-health-port", "9002"], "--grpc-health-port: 9002 is already the port of --grpc-port"),
        (["--metrics-port", "9003"], "--metrics-port: 9003 is already the port of --grpc-health-port"),
        (["--model-server-metrics-port", "-1"], "--model-server-metrics-port: -1 is no port; 0 to 65535"),
        (["--model-server-metrics-path", "metrics"], '--model-server-metrics-path: has to begin with "/"'),
        (["--endpoint-target-ports", "0"], "--endpoint-target-ports: 0 is no port; ports go from 1 to 65535"),
        (["--endpoint-target-ports", "1,2,3,4,5,6,7,8,9"], "--endpoint-target-ports: has more than 8 ports"),
        (["--refresh-metrics-interval", "0s"], "--refresh-metrics-interval: has to be longer than 0s"),
        (["--metrics-staleness-threshold=-1s"], "--metrics-staleness-threshold: has to be longer than 0s"),
        (
            ["--refresh-prometheus-metrics-interval=0"],
            "--refresh-prometheus-metrics-interval: has to be longer than 0s",
        ),
        (["--drain-timeout=-1s"], "--drain-timeout: cannot be negative"),
        (["--max-request-bytes=0"], "--max-request-bytes: has to be at least 1"),
        (["-v=-1"], "--v: cannot be negative"),
        (
            ["--refresh-metric-interval=1s"],
            "--refresh-metric-interval: is not a flag; did you mean --refresh-metrics-interval?",
        ),
    ],
)
def test_refuses(argv: list[str], expected: str) -> None:
    assert faults(*argv) == [expected]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], "--pool-name: is needed, or --endpoint-selector, or --pool-file"),
        (["--endpoint-selector=app=vllm"], "--endpoint-target-ports: is needed with --endpoint-selector"),
        (
            ["--endpoint-selector=app", "--endpoint-target-ports=8000"],
            "--endpoint-selector: has to be like app=vllm,zone=a; 'app' is no label",
        ),
    ],
)
def test_it_is_said_where_the_endpoints_are(argv: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(argv, {})
    assert str(caught.value) == f"command line: {expected}"


def test_everything_wrong_is_said_at_once() -> None:
    assert faults("--grpc-port=9003", "--config-file=a", "--config-text=b", "--metrics-prot=1", "--v=x") == [
        "--metrics-prot: is not a flag; did you mean --metrics-port?",
        '--v: "x" is no whole number',
        "--grpc-health-port: 9003 is already the port of --grpc-port",
        "--config-text: cannot go together with --config-file; give one",
    ]


def test_help_names_every_flag_of_the_reference() -> None:
    with pytest.raises(HelpRequested) as caught:
        read_settings(["--help"], {})
    listed = {line.split()[0] for line in caught.value.text.splitlines() if line.startswith("  --")}
    assert listed >= {
        *(
            "--grpc-port",
            "--grpc-health-port",
            "--metrics-port",
            "--enable-pprof",
            "--pool-name",
            "--pool-group",
        ),
        *("--pool-namespace", "--endpoint-selector", "--endpoint-target-ports", "--v", "--kubeconfig"),
        *("--disable-endpoint-subset-filter", "--zap-devel", "--zap-encoder", "--zap-log-level"),
        *("--zap-stacktrace-level", "--zap-time-encoding", "--secure-serving", "--health-checking"),
        *("--cert-path", "--enable-cert-reload", "--total-queued-requests-metric"),
        *("--total-running-requests-metric", "--kv-cache-usage-percentage-metric", "--lora-info-metric"),
        *("--cache-info-metric", "--refresh-metrics-interval", "--refresh-prometheus-metrics-interval"),
        *("--metrics-staleness-threshold", "--config-file", "--config-text", "--model-server-metrics-port"),
        *("--model-server-metrics-path", "--model-server-metrics-scheme"),
        *("--model-server-metrics-https-insecure-skip-verify", "--ha-enable-leader-election", "--tracing"),
        "--metrics-endpoint-auth",
    }
