"""Types that a configuration may list although no plugin of that name does anything here.

Either the picker does their work itself, or it will do it later: until then they are read, checked and kept,
so that files of the reference can be moved here as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from epp.config.catalogue import Kind
from epp.config.constraints import Doc, Length, Range
from epp.config.durations import Seconds


@dataclass(frozen=True)
class SingleProfileHandler:
    """Runs the only profile."""


@dataclass(frozen=True)
class MetricsDataSource:
    """Reads the endpoints' metrics pages; the picker does so as its --model-server-metrics flags say."""

    scheme: Annotated[Literal["http", "https"], Doc("scheme of the page")] = "http"
    path: Annotated[str, Doc("path of the page")] = "/metrics"
    insecure_skip_verify: Annotated[bool, Doc("do not verify the certificate of an https page")] = True
    interval: Annotated[Seconds | None, Doc("llm-d: time between two readings")] = None


@dataclass(frozen=True)
class EngineConfig:
    """The names of one engine's metrics."""

    name: Annotated[str, Length(1, 253), Doc("the engine, as the label says it")]
    queued_requests_spec: Annotated[str | None, Doc("metric of waiting requests")] = None
    running_requests_spec: Annotated[str | None, Doc("metric of running requests")] = None
    kv_usage_spec: Annotated[str | None, Doc("metric of KV cache use")] = None
    lora_spec: Annotated[str | None, Doc("metric that lists adapters")] = None
    cache_info_spec: Annotated[str | None, Doc("metric with the KV cache's size")] = None


@dataclass(frozen=True)
class CoreMetricsExtractor:
    """Finds the load in a metrics page; the picker knows the engines' metrics by itself."""

    engine_label_key: Annotated[str, Length(1, 317), Doc("label that names an endpoint's engine")] = (
        "inference.networking.k8s.io/engine-type"
    )
    default_engine: Annotated[str, Doc("engine of endpoints without the label")] = "vllm"
    engine_configs: Annotated[tuple[EngineConfig, ...], Doc("metric names by engine")] = ()
    custom_metrics: Annotated[Any, Doc("llm-d: further metrics")] = None


@dataclass(frozen=True)
class KubernetesNotificationSource:
    """Tells of changes of Kubernetes objects of one kind."""

    group: Annotated[str, Doc("API group of the objects")] = ""
    version: Annotated[str, Doc("API version of the objects")] = ""
    kind: Annotated[str, Doc("kind of the objects")] = ""


@dataclass(frozen=True)
class EndpointNotificationSource:
    """Tells of endpoints that come and go."""


@dataclass(frozen=True)
class ModelsDataSource:
    """Reads the endpoints' lists of models; the picker always does."""


@dataclass(frozen=True)
class ModelsExtractor:
    """Finds the models in such a list; the picker always does."""


@dataclass(frozen=True)
class DcgmDataSource:
    """Reads GPU metrics."""

    port: Annotated[int, Range(1, 65535), Doc("port of the exporter")] = 9400
    use_node_address: Annotated[bool, Doc("ask the node, not the pod")] = False


@dataclass(frozen=True)
class DcgmExtractor:
    """Finds GPU load in GPU metrics."""


@dataclass(frozen=True)
class TopologyExtractor:
    """Finds host, rack, zone and region of endpoints."""


@dataclass(frozen=True)
class FileDiscovery:
    """Finds endpoints in a file; here --pool-file does."""

    path: Annotated[str, Doc("the file")] = ""
    watch_file: Annotated[bool, Doc("read it again when it changes")] = False


@dataclass(frozen=True)
class GlobalStrictFairnessPolicy:
    """Next is the request that the ordering policy puts first among all flows."""


@dataclass(frozen=True)
class RoundRobinFairnessPolicy:
    """The flows take turns."""


@dataclass(frozen=True)
class ProgramAwareFairness:
    """Flows that were served least come first."""

    strategy: Annotated[str, Doc("how service is measured")] = "las"
    las_weight_service: Annotated[float, Doc("weight of the service had")] = 0.8
    las_weight_head_wait: Annotated[float, Doc("weight of the wait of the flow's first request")] = 0.2
    las_half_life_seconds: Annotated[float, Doc("seconds after which service counts half")] = 60.0
    eviction_ttl_seconds: Annotated[float, Doc("seconds after which a silent flow is forgotten")] = 3600.0


@dataclass(frozen=True)
class FcfsOrderingPolicy:
    """First come, first served."""


@dataclass(frozen=True)
class EdfOrderingPolicy:
    """First the request whose time to live ends first."""


@dataclass(frozen=True)
class SloDeadlineOrderingPolicy:
    """First the request whose wanted time to the first token ends first."""


@dataclass(frozen=True)
class StaticUsageLimitPolicy:
    """Requests wait from a fixed saturation on."""

    threshold: Annotated[float, Range(0, 1e6), Doc("the saturation")] = 1.0


@dataclass(frozen=True)
class PriorityHoldbackPolicy:
    """The lower the priority, the lower the saturation from which on requests wait."""

    min_ceiling: Annotated[float, Range(0, 1e6), Doc("saturation for the lowest priority")]
    max_ceiling: Annotated[float, Range(0, 1e6), Doc("saturation for the highest priority")] = 1.0
    shape: Annotated[Literal["linear"], Doc("how it falls between them")] = "linear"
    domain: Annotated[Literal["rank", "value"], Doc("over the priorities' ranks or their values")] = "rank"


@dataclass(frozen=True)
class SoftReflectiveCeilingPolicy:
    """The more saturated the pool, the longer low priorities wait."""


@dataclass(frozen=True)
class DisaggHeadersHandler:
    """Sets the headers that say where the stages of a request run; the profile handlers always do."""

    prefill_profile: Annotated[str, Length(1, 253), Doc("profile that chooses where to prefill")] = "prefill"
    encode_profile: Annotated[str, Length(1, 253), Doc("profile that chooses where to encode")] = "encode"


@dataclass(frozen=True)
class TokenProducer:
    """Counts the tokens of prompts; the picker counts token ids and estimates the rest at 4 bytes a token."""

    model_name: Annotated[str, Doc("model whose tokenizer counts")] = ""
    estimate: Annotated[Any, Doc("llm-d: how to estimate")] = None
    vllm: Annotated[Any, Doc("llm-d: a server to ask")] = None


KEPT: Mapping[str, tuple[type, Kind]] = {
    "disagg-headers-handler": (DisaggHeadersHandler, "observer"),
    "prefill-header-handler": (DisaggHeadersHandler, "observer"),
    "token-producer": (TokenProducer, "producer"),
    "single-profile-handler": (SingleProfileHandler, "profile handler"),
    "metrics-data-source": (MetricsDataSource, "data source"),
    "models-data-source": (ModelsDataSource, "data source"),
    "dcgm-data-source": (DcgmDataSource, "data source"),
    "k8s-notification-source": (KubernetesNotificationSource, "data source"),
    "endpoint-notification-source": (EndpointNotificationSource, "data source"),
    "core-metrics-extractor": (CoreMetricsExtractor, "extractor"),
    "models-extractor": (ModelsExtractor, "extractor"),
    "dcgm-extractor": (DcgmExtractor, "extractor"),
    "topology-extractor": (TopologyExtractor, "extractor"),
    "file-discovery": (FileDiscovery, "discovery"),
    "global-strict-fairness-policy": (GlobalStrictFairnessPolicy, "fairness policy"),
    "round-robin-fairness-policy": (RoundRobinFairnessPolicy, "fairness policy"),
    "program-aware-fairness": (ProgramAwareFairness, "fairness policy"),
    "fcfs-ordering-policy": (FcfsOrderingPolicy, "ordering policy"),
    "edf-ordering-policy": (EdfOrderingPolicy, "ordering policy"),
    "slo-deadline-ordering-policy": (SloDeadlineOrderingPolicy, "ordering policy"),
    "static-usage-limit-policy": (StaticUsageLimitPolicy, "usage-limit policy"),
    "priority-holdback-policy": (PriorityHoldbackPolicy, "usage-limit policy"),
    "soft-reflective-ceiling-policy": (SoftReflectiveCeilingPolicy, "usage-limit policy"),
}
