"""The EndpointPickerConfig as it is written: every field, its default and its meaning.

Written for both of its API versions, the inference extension's and llm-d's; what the fields come to is in
epp/config/picker.py. The JSON Schema and docs/configuration.md are generated from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from epp.config.catalogue import Kind
from epp.config.constraints import Doc, Key, Length, Range
from epp.config.durations import Seconds
from epp.config.fields import Place
from epp.config.quantities import Quantity
from epp.config.references import NamesType, RefersTo
from epp.config.schema import Raw

# Names end up in metric labels and messages; the reference has no limit, custom resources have this one.
Name = Annotated[str, Length(1, 253)]

# The reference takes any number; this leaves sums of scores room.
Weight = Annotated[float, Range(-1e9, 1e9)]

# What `featureGates` may name; the reference refuses others as well.
FEATURE_GATES = ("dataLayer", "enableLegacyMetrics", "flowControl")

# Gates of earlier versions, which files still have: what they turned on is always on.
OLD_FEATURE_GATES = ("prepareDataPlugins",)

# The plugins that exist without being listed, under their type's name: what the reference makes where a file
# names none.
UNLISTED: Mapping[Kind, str] = {
    "picker": "max-score-picker",
    "profile handler": "single-profile-handler",
    "saturation detector": "utilization-detector",
    "parser": "openai-parser",
    "fairness policy": "global-strict-fairness-policy",
    "ordering policy": "fcfs-ordering-policy",
    "usage-limit policy": "static-usage-limit-policy",
    "data source": "metrics-data-source",
    "extractor": "core-metrics-extractor",
}


def _reference(*kinds: Kind) -> RefersTo:
    return RefersTo(frozenset(kinds))


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """A plugin to make."""

    place: Place
    type: Annotated[Name, NamesType(), Doc("which plugin: a type that `epp plugins` lists")]
    name: Annotated[Name | None, Doc("what it is called elsewhere in the file; default: its type")] = None
    parameters: Annotated[Raw | None, Doc("as the type has them")] = None


@dataclass(frozen=True, slots=True)
class RefEntry:
    """A plugin's part in a profile."""

    place: Place
    plugin_ref: Annotated[Name, RefersTo(), Doc("name of a filter, scorer or picker; others have no part")]
    weight: Annotated[Weight | None, Doc("of a scorer, against the others; default 1")] = None


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A scheduling profile: filters in their order, weighted scorers, and one picker."""

    place: Place
    name: Annotated[Name, Doc("what handlers, metrics and debug pages call it")]
    plugins: Annotated[tuple[RefEntry, ...], Doc("its plugins in their order")] = ()


@dataclass(frozen=True, slots=True)
class DetectorEntry:
    """Who says how saturated the pool is."""

    plugin_ref: Annotated[Name, _reference("saturation detector"), Doc("name of a saturation detector")] = (
        UNLISTED["saturation detector"]
    )
    place: Place = field(default_factory=Place, compare=False)


@dataclass(frozen=True, slots=True)
class ParserEntry:
    """Who reads requests."""

    plugin_ref: Annotated[Name, _reference("parser"), Doc("name of a parser")] = UNLISTED["parser"]
    place: Place = field(default_factory=Place, compare=False)


@dataclass(frozen=True, slots=True)
class RequestHandlerEntry:
    """How requests are read."""

    parsers: Annotated[tuple[ParserEntry, ...], Doc("the parsers; a request is read by the first")] = ()
    place: Place = field(default_factory=Place, compare=False)


@dataclass(frozen=True, slots=True)
class ExtractorEntry:
    """Who takes something out of what a data source tells."""

    plugin_ref: Annotated[Name, _reference("extractor"), Doc("name of an extractor")]


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """Where data about endpoints comes from."""

    plugin_ref: Annotated[Name, _reference("data source"), Doc("name of a data source")]
    extractors: Annotated[tuple[ExtractorEntry, ...], Doc("who reads what it tells")] = ()


@dataclass(frozen=True, slots=True)
class AnyPluginEntry:
    """A plugin of llm-d's data layer."""

    plugin_ref: Annotated[Name, RefersTo(), Doc("name of a plugin")]


@dataclass(frozen=True, slots=True)
class DataLayerEntry:
    """Where data about endpoints comes from. Validated and kept: the picker's own scraping goes by flags."""

    inject_defaults: Annotated[bool, Doc("llm-d: add the usual source of metrics to those listed")] = True
    sources: Annotated[tuple[SourceEntry, ...] | None, Doc("default: the metrics of the endpoints")] = None
    discovery: Annotated[AnyPluginEntry | None, Doc("llm-d: who finds endpoints")] = None
    peer_discovery: Annotated[AnyPluginEntry | None, Doc("llm-d: who finds other replicas")] = None
    cross_replica_syncer_plugin_ref: Annotated[
        Name | None, RefersTo(), Doc("llm-d: who tells other replicas what this one knows")
    ] = None
    cross_replica_sync_interval: Annotated[Seconds | None, Doc("llm-d: time between two such messages")] = (
        None
    )


# What every priority band has.
_BandBytes = Annotated[Quantity | None, Doc("bytes that may wait; default 1G")]
_BandRequests = Annotated[Quantity | None, Doc("requests that may wait; default: no limit")]
_FairnessPolicy = Annotated[
    Name, _reference("fairness policy"), Doc("name of a fairness policy: which flow is next")
]
_OrderingPolicy = Annotated[
    Name, _reference("ordering policy"), Doc("name of an ordering policy: which request of a flow is next")
]


@dataclass(frozen=True, slots=True)
class DefaultBandEntry:
    """What counts for priorities that no band of their own has."""

    priority: Annotated[int | None, Doc("passed over")] = None
    max_bytes: _BandBytes = None
    max_requests: _BandRequests = None
    fairness_policy_ref: _FairnessPolicy = UNLISTED["fairness policy"]
    ordering_policy_ref: _OrderingPolicy = UNLISTED["ordering policy"]


@dataclass(frozen=True, slots=True)
class BandEntry:
    """The limits and policies of one priority."""

    place: Place = field(compare=False)
    priority: Annotated[int, Range(-(2**31), 2**31 - 1), Doc("the priority of the objectives")]
    max_bytes: _BandBytes = None
    max_requests: _BandRequests = None
    fairness_policy_ref: _FairnessPolicy = UNLISTED["fairness policy"]
    ordering_policy_ref: _OrderingPolicy = UNLISTED["ordering policy"]


@dataclass(frozen=True, slots=True)
class FlowControlEntry:
    """The queue in front of a saturated pool. Validated and kept: requests are not queued yet."""

    max_bytes: Annotated[Quantity | None, Doc("bytes that may wait in all; default: no limit")] = None
    max_requests: Annotated[Quantity | None, Doc("requests that may wait in all; default: no limit")] = None
    default_request_ttl: Annotated[
        Seconds | None,
        Key("defaultRequestTTL"),
        Doc("how long a request may wait; default: as long as its client does"),
    ] = None
    no_endpoint_request_ttl: Annotated[
        Seconds | None,
        Key("noEndpointRequestTTL"),
        Doc("llm-d: how long it may wait while the pool is empty"),
    ] = None
    default_priority_band: Annotated[
        DefaultBandEntry | None, Doc("what counts for priorities without a band of their own")
    ] = None
    default_negative_priority_band: Annotated[
        DefaultBandEntry | None, Doc("llm-d: the same for negative priorities")
    ] = None
    priority_bands: Annotated[tuple[BandEntry, ...], Doc("limits and policies by priority")] = ()
    usage_limit_policy_plugin_ref: Annotated[
        Name,
        _reference("usage-limit policy"),
        Doc("name of a usage-limit policy: who waits at which saturation"),
    ] = UNLISTED["usage-limit policy"]
    saturation_detector: Annotated[
        DetectorEntry | None, Doc("llm-d's place for who says how saturated the pool is")
    ] = None
    enable_eviction: Annotated[bool, Doc("llm-d: take requests back that are being served")] = False
    place: Place = field(default_factory=Place, compare=False)


@dataclass(frozen=True, slots=True)
class PickerFile:
    """An EndpointPickerConfig."""

    api_version: Annotated[
        Literal["inference.networking.x-k8s.io/v1alpha1", "llm-d.ai/v1alpha1"],
        Doc("the format: the inference extension's or llm-d's; every field may stand in both"),
    ]
    kind: Annotated[Literal["EndpointPickerConfig"], Doc("what the file is")]
    feature_gates: Annotated[
        tuple[str, ...],
        Doc("`dataLayer`, `enableLegacyMetrics`, `flowControl`, each alone or with `=true` or `=false`"),
    ] = ()
    plugins: Annotated[tuple[PluginEntry, ...], Doc("the plugins to make")] = ()
    scheduling_profiles: Annotated[
        tuple[ProfileEntry, ...],
        Doc(
            "ways to choose; default: one, `default`, of all filters, scorers and pickers in the file's order"
        ),
    ] = ()
    saturation_detector: Annotated[
        DetectorEntry | None, Doc("who says when requests of negative priority are shed")
    ] = None
    data_layer: Annotated[DataLayerEntry | None, Doc("where data about endpoints comes from")] = None
    flow_control: Annotated[FlowControlEntry | None, Doc("the queue in front of a saturated pool")] = None
    parser: Annotated[ParserEntry | None, Doc("who reads requests")] = None
    request_handler: Annotated[RequestHandlerEntry | None, Doc("llm-d's place for who reads requests")] = None
