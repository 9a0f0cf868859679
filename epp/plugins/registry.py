"""The plugin types that a configuration may name: from the type's name to the class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from epp.config.catalogue import Catalogue, Kind, PluginType
from epp.plugin import (
    DepartureObserver,
    EndObserver,
    Filter,
    FirstTokenObserver,
    Parser,
    Picker,
    PlacementObserver,
    ProfileHandler,
    ResponseObserver,
    SaturationDetector,
    Scorer,
    UsageObserver,
)
from epp.plugins.active_request_scorer import ActiveRequestScorer
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.plugins.concurrency_detector import ConcurrencyDetector
from epp.plugins.context_length_aware import ContextLengthAware
from epp.plugins.deciders import (
    AlwaysDisaggMultimodalDecider,
    AlwaysDisaggPdDecider,
    Decider,
    PrefixBasedPdDecider,
)
from epp.plugins.destination_endpoint_served_verifier import DestinationEndpointServedVerifier
from epp.plugins.disagg_profile_handler import DisaggProfileHandler, PdProfileHandler
from epp.plugins.endpoint_attribute_filter import EndpointAttributeFilter
from epp.plugins.endpoint_attribute_scorer import EndpointAttributeScorer
from epp.plugins.expected_ttft_scorer import ExpectedTtftScorer
from epp.plugins.header_based_testing_filter import HeaderBasedTestingFilter
from epp.plugins.header_label_affinity_scorer import HeaderLabelAffinityScorer
from epp.plugins.header_profile_handler import HeaderProfileHandler
from epp.plugins.inflight_load_producer import InflightLoadProducer
from epp.plugins.kept import KEPT
from epp.plugins.kv_cache_utilization_scorer import KvCacheUtilizationScorer
from epp.plugins.label_selector_filter import ByLabelFilter, LabelSelectorFilter
from epp.plugins.load_aware_scorer import LoadAwareScorer
from epp.plugins.lora_affinity_scorer import LoraAffinityScorer
from epp.plugins.max_score_picker import MaxScorePicker
from epp.plugins.no_hit_lru_scorer import NoHitLruScorer
from epp.plugins.parsers import OpenaiParser, PassthroughParser, VllmgrpcParser
from epp.plugins.prefix_cache_affinity_filter import PrefixCacheAffinityFilter
from epp.plugins.prefix_cache_scorer import PrefixCacheScorer
from epp.plugins.queue_scorer import QueueScorer
from epp.plugins.random_picker import RandomPicker
from epp.plugins.request_attribute_reporter import RequestAttributeReporter
from epp.plugins.role_filters import DecodeFilter, EncodeFilter, PrefillFilter
from epp.plugins.running_requests_size_scorer import RunningRequestsSizeScorer
from epp.plugins.session_affinity import SessionAffinityFilter, SessionAffinityScorer
from epp.plugins.token_load_scorer import TokenLoadScorer
from epp.plugins.utilization_detector import UtilizationDetector
from epp.plugins.utilization_filter import UtilizationFilter
from epp.plugins.weighted_random_picker import WeightedRandomPicker

BUILT_IN: Mapping[str, type] = {
    "active-request-scorer": ActiveRequestScorer,
    "always-disagg-multimodal-decider": AlwaysDisaggMultimodalDecider,
    "always-disagg-pd-decider": AlwaysDisaggPdDecider,
    "anthropic-parser": OpenaiParser,
    "approx-prefix-cache-producer": ApproxPrefixCacheProducer,
    "by-label": ByLabelFilter,
    "by-label-selector": LabelSelectorFilter,
    "concurrency-detector": ConcurrencyDetector,
    "context-length-aware": ContextLengthAware,
    "decode-filter": DecodeFilter,
    "destination-endpoint-served-verifier": DestinationEndpointServedVerifier,
    "disagg-profile-handler": DisaggProfileHandler,
    "encode-filter": EncodeFilter,
    "endpoint-attribute-filter": EndpointAttributeFilter,
    "endpoint-attribute-scorer": EndpointAttributeScorer,
    "expected-ttft-scorer": ExpectedTtftScorer,
    "header-based-testing-filter": HeaderBasedTestingFilter,
    "header-label-affinity-scorer": HeaderLabelAffinityScorer,
    "header-profile-handler": HeaderProfileHandler,
    "inflight-load-producer": InflightLoadProducer,
    "kv-cache-utilization-scorer": KvCacheUtilizationScorer,
    "label-selector-filter": LabelSelectorFilter,
    "load-aware-scorer": LoadAwareScorer,
    "lora-affinity-scorer": LoraAffinityScorer,
    "max-score-picker": MaxScorePicker,
    "no-hit-lru-scorer": NoHitLruScorer,
    "openai-parser": OpenaiParser,
    "passthrough-parser": PassthroughParser,
    "pd-profile-handler": PdProfileHandler,
    "prefill-filter": PrefillFilter,
    "prefix-based-pd-decider": PrefixBasedPdDecider,
    "prefix-cache-affinity-filter": PrefixCacheAffinityFilter,
    "prefix-cache-scorer": PrefixCacheScorer,
    "queue-scorer": QueueScorer,
    "random-picker": RandomPicker,
    "request-attribute-reporter": RequestAttributeReporter,
    "running-requests-size-scorer": RunningRequestsSizeScorer,
    "session-affinity-filter": SessionAffinityFilter,
    "session-affinity-scorer": SessionAffinityScorer,
    "token-load-scorer": TokenLoadScorer,
    "utilization-detector": UtilizationDetector,
    "utilization-filter": UtilizationFilter,
    "vllmgrpc-parser": VllmgrpcParser,
    "vllmhttp-parser": OpenaiParser,
    "weighted-random-picker": WeightedRandomPicker,
}

_LATENCY = "needs latency prediction, which this version does not have"
_LLM_D = "is a type of llm-d's that this version does not have"
_UNWIRED = "is a type that the reference registers and never uses"

# Types of the reference and of llm-d that do not exist here, and why: to pass them over would schedule other
# than the configuration says.
UNSUPPORTED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "predicted-latency-producer",
            "predicted-latency-scorer",
            "latency-scorer",
            "slo-headroom-tier-filter",
            "latency-slo-admitter",
        ),
        _LATENCY,
    ),
    **dict.fromkeys(("eviction-sheddable-filter", "eviction-priority-then-time-ordering"), _UNWIRED),
    **dict.fromkeys(
        (
            "agent-identity",
            "burst-prefix-cache-producer",
            "data-parallel-profile-handler",
            "disaggregatedset-rollout-screener",
            "mm-embeddings-cache-producer",
            "mm-embeddings-cache-scorer",
            "multicluster-kv-cache-utilization-scorer",
            "multicluster-prefix-cache-scorer",
            "multicluster-queue-scorer",
            "p2p-source-producer",
            "precise-prefix-cache-producer",
            "precise-prefix-cache-scorer",
            "probabilistic-admitter",
            "session-id-producer",
            "sglanghttp-parser",
            "topology-affinity-filter",
            "topology-affinity-scorer",
            "vertexai-parser",
        ),
        _LLM_D,
    ),
}

# Parameters of the reference's other versions that mean nothing here.
_ONE_COUNT = "there is one count of the load in flight"
_NEVER_USED = "it is used nowhere in llm-d, either"
PASSED_OVER: Mapping[str, Mapping[str, str]] = {
    "active-request-scorer": {
        "requestTimeout": "a request is in flight until it ends, however it ends",
        "inFlightLoadProducerName": _ONE_COUNT,
    },
    "concurrency-detector": {"inFlightLoadProducerName": _ONE_COUNT},
    "endpoint-attribute-filter": {"producer": "an attribute has one source here"},
    "endpoint-attribute-scorer": {"producer": "an attribute has one source here"},
    "inflight-load-producer": {
        "prefixMatchInfoProducerName": "the whole prompt counts, cached or not",
        "syncCrossReplicaState": "replicas do not tell each other of their load",
    },
    "no-hit-lru-scorer": {"prefixPluginType": _NEVER_USED, "prefixPluginName": _NEVER_USED},
    "pd-profile-handler": {
        "hashBlockSize": "the prefix cache's producer has the blocks",
        "prefixPluginType": _NEVER_USED,
        "prefixPluginName": _NEVER_USED,
    },
    "prefix-cache-affinity-filter": {"inFlightLoadProducerName": _ONE_COUNT},
    "token-load-scorer": {"inFlightLoadProducerName": _ONE_COUNT},
    "utilization-filter": {"inFlightLoadProducerName": _ONE_COUNT},
}

_PROTOCOLS: tuple[tuple[type, Kind], ...] = (
    (Filter, "filter"),
    (Scorer, "scorer"),
    (Picker, "picker"),
    (ProfileHandler, "profile handler"),
    (SaturationDetector, "saturation detector"),
    (Parser, "parser"),
    (Decider, "decider"),
    (PlacementObserver, "observer"),
    (ResponseObserver, "observer"),
    (FirstTokenObserver, "observer"),
    (UsageObserver, "observer"),
    (EndObserver, "observer"),
    (DepartureObserver, "observer"),
)

# What has none of these methods is there for other plugins.
_PRODUCES: frozenset[Kind] = frozenset({"producer"})


def kinds_of(cls: type) -> frozenset[Kind]:
    """What a class can be used for, by the methods that it has; empty if it is no plugin."""
    return frozenset(kind for protocol, kind in _PROTOCOLS if issubclass(cls, protocol))


def catalogue(users: Iterable[PluginType] = ()) -> Catalogue:
    """All types: the picker's own, and those of users."""
    own = (
        PluginType(name, cls, kinds_of(cls) or _PRODUCES, PASSED_OVER.get(name, {}))
        for name, cls in BUILT_IN.items()
    )
    kept = (PluginType(name, cls, frozenset({kind}), used=False) for name, (cls, kind) in KEPT.items())
    types = [*own, *kept, *users]
    names = {each.name for each in types}
    return Catalogue(types, {name: why for name, why in UNSUPPORTED.items() if name not in names})


# The types of the picker itself.
OWN_TYPES = catalogue()
