"""What the reference's charts take and render, restated from their published versions v1.0.1 and v1.5.

`VALUES_...` are every value of a version, set to something; `argv` is the command line that it renders for
the picker.
"""

from __future__ import annotations

from typing import Any

MATCH = {"modelServers": {"matchLabels": {"app": "vllm-llama3-8b-instruct"}}}

PLUGINS = """apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
"""

TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists"}
AFFINITY: dict[str, Any] = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["cpu"]}]}
            ]
        }
    }
}

VALUES_1_0_1: dict[str, Any] = {
    "inferenceExtension": {
        "replicas": 1,
        "image": {"name": "epp", "hub": "example.com/pickers", "tag": "v9", "pullPolicy": "Always"},
        "extProcPort": 9002,
        "metricsPort": 9090,
        "env": [{"name": "SD_QUEUE_DEPTH_THRESHOLD", "value": "7"}],
        "pluginsConfigFile": "custom-plugins.yaml",
        "pluginsCustomConfig": {"custom-plugins.yaml": PLUGINS},
        "extraContainerPorts": [{"name": "extra", "containerPort": 9999, "protocol": "TCP"}],
        "extraServicePorts": [{"name": "extra", "port": 9999, "protocol": "TCP", "targetPort": "extra"}],
        "flags": [{"name": "v", "value": 1}],
        "failureMode": "FailClose",
        "affinity": AFFINITY,
        "tolerations": [TOLERATION],
        "monitoring": {
            "interval": "10s",
            "secret": {"name": "metrics-secret"},
            "prometheus": {"enabled": True},
            "gke": {"enabled": False},
        },
    },
    "inferencePool": {
        "targetPorts": [{"number": 8000}],
        "targetPortNumber": 8000,
        "modelServerType": "vllm",
        "apiVersion": "inference.networking.k8s.io/v1",
        **MATCH,
    },
    "provider": {"name": "istio", "gke": {"autopilot": False}},
    "istio": {
        "destinationRule": {
            "host": "picker.example",
            "trafficPolicy": {"connectionPool": {"http": {"maxRequestsPerConnection": 256000}}},
        }
    },
}

VALUES_1_5: dict[str, Any] = {
    "inferenceExtension": {
        "replicas": 1,
        "image": {
            "registry": "example.com",
            "repository": "pickers/epp",
            "tag": "v9",
            "pullPolicy": "Always",
        },
        "extProcPort": 9002,
        "env": [{"name": "A", "value": "b"}],
        "pluginsConfigFile": "default-plugins.yaml",
        "pluginsCustomConfig": {"custom-plugins.yaml": PLUGINS},
        "extraContainerPorts": [],
        "extraServicePorts": [],
        "flags": {"v": 1},
        "failureMode": "FailOpen",
        "affinity": AFFINITY,
        "tolerations": [TOLERATION],
        "resources": {"requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"memory": "16Gi"}},
        "sidecar": {
            "enabled": True,
            "name": "beside",
            "image": "example.com/beside:1",
            "imagePullPolicy": "IfNotPresent",
            "command": "beside",
            "args": ["--listen", "8082"],
            "env": [{"name": "C", "value": "d"}],
            "ports": [{"containerPort": 8082, "name": "beside"}],
            "livenessProbe": {"tcpSocket": {"port": 8082}},
            "readinessProbe": {"tcpSocket": {"port": 8082}},
            "resources": {"requests": {"cpu": "100m"}},
            "volumeMounts": [{"name": "beside", "mountPath": "/beside"}],
            "volumes": [{"name": "beside", "configMap": {"name": "beside"}}],
            "configMap": {"name": "beside", "data": {"beside.conf": "x"}},
        },
        "volumes": [{"name": "more", "emptyDir": {}}],
        "volumeMounts": [{"name": "more", "mountPath": "/more"}],
        "monitoring": {
            "interval": "10s",
            "prometheus": {
                "enabled": True,
                "auth": {"enabled": True, "secretName": "metrics-secret"},
                "extraLabels": {"team": "a"},
            },
        },
        "tracing": {
            "enabled": True,
            "otelExporterEndpoint": "http://collector:4317",
            "sampling": {"sampler": "parentbased_traceidratio", "samplerArg": "0.1"},
        },
        "latencyPredictor": {
            "enabled": False,
            "trainingServer": {"port": 8000, "config": {"LATENCY_MODEL_TYPE": "xgboost"}},
            "predictionServers": {"count": 1, "startPort": 8001},
            "eppEnv": {"LATENCY_MAX_SAMPLE_SIZE": "10000"},
        },
        "metricsDataSource": {"scheme": "https", "path": "/metrics", "insecureSkipVerify": False},
    },
    "inferencePool": {
        "targetPorts": [{"number": 8000}, {"number": 8001}],
        "modelServerType": "vllm",
        "modelServerProtocol": "http",
        "parser": "openai-parser",
        "apiVersion": "inference.networking.k8s.io/v1",
        **MATCH,
    },
    "inferenceObjectives": [{"name": "food-review", "priority": 1}, {"name": "batch", "priority": -1}],
    "provider": {
        "name": "istio",
        "gke": {"autopilot": False},
        "istio": {
            "destinationRule": {
                "host": "picker.example",
                "trafficPolicy": {"connectionPool": {"http": {"maxRequestsPerConnection": 256000}}},
            }
        },
    },
    "experimentalHttpRoute": {
        "enabled": True,
        "inferenceGatewayName": "inference-gateway",
        "requestTimeout": "300s",
        "baseModel": "meta-llama/Llama-3.1-8B-Instruct",
    },
}

# How the versions tell which metrics to read of a model server that is not vllm. v1.5 puts quotes into the
# words that no shell takes away.
_TRITON = [
    *("--total-queued-requests-metric", "nv_trt_llm_request_metrics{request_type=waiting}"),
    *(
        "--kv-cache-usage-percentage-metric",
        "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}",
    ),
    *("--lora-info-metric", ""),
]
SERVER_FLAGS: dict[tuple[str, str], list[str]] = {
    ("v1.0.1", "vllm"): [],
    ("v1.0.1", "triton-tensorrt-llm"): _TRITON,
    ("v1.5", "vllm"): [],
    ("v1.5", "triton-tensorrt-llm"): [
        *_TRITON[:2],
        *("--total-running-requests-metric", "nv_trt_llm_request_metrics{request_type=scheduled}"),
        *_TRITON[2:],
    ],
    ("v1.5", "sglang"): [
        '--total-queued-requests-metric="sglang:num_queue_reqs"',
        '--total-running-requests-metric="sglang:num_running_reqs"',
        '--kv-cache-usage-percentage-metric="sglang:token_usage"',
        '--cache-info-metric="sglang:cache_config_info"',
    ],
    ("v1.5", "trtllm-serve"): [
        '--total-queued-requests-metric="trtllm_num_requests_waiting"',
        '--total-running-requests-metric="trtllm_num_requests_running"',
        '--kv-cache-usage-percentage-metric="trtllm_kv_cache_utilization"',
        '--cache-info-metric="trtllm_cache_config_info"',
        '--model-server-metrics-path="/prometheus/metrics"',
        *("--lora-info-metric", ""),
    ],
}


def argv(
    version: str,
    server: str,
    *,
    replicas: int = 1,
    v1alpha2: bool = False,
    pool: bool = True,
    namespace: str = "n",
) -> list[str]:
    """The command line of a chart's default values but for these; `pool=False` is the standalone chart's."""
    group = "inference.networking.x-k8s.io" if v1alpha2 else "inference.networking.k8s.io"
    named = ["--pool-name", "r", "--pool-namespace", namespace, "--pool-group", group]
    selected = ["--endpoint-selector", "app=vllm,zone=a", "--endpoint-target-ports", "8000"]
    files = ["--zap-encoder", "json", "--config-file", "/config/default-plugins.yaml"]
    end = [*("--v", "1"), *(["--tracing=false"] if version == "v1.5" else [])]
    # v1.0.1 has what it says of the server after the file, v1.5 before it.
    of_server = SERVER_FLAGS[version, server]
    middle = [*files, *of_server] if version == "v1.0.1" else [*of_server, *files]
    return [
        *(named if pool else selected),
        *middle,
        *(["--ha-enable-leader-election"] if replicas > 1 else []),
        *end,
    ]
