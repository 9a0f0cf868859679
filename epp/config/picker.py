"""The EndpointPickerConfig: its shape, its references, and the defaults that take no knowledge of plugins.

    apiVersion: inference.networking.x-k8s.io/v1alpha1
    kind: EndpointPickerConfig
    plugins:
      - type: queue-scorer            # needed
        name: queue                   # default: its type
        parameters: {}                # as the plugin has it
    schedulingProfiles:
      - name: default
        plugins:
          - pluginRef: queue
            weight: 2

What each plugin type is, takes and defaults to is the business of the plugins; so are `dataLayer`,
`flowControl`, `parser` and `requestHandler`, which are kept as they stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from epp.config.constraints import Length
from epp.config.document import Faults, ListNode, MapNode, Node, parse_document, plain
from epp.config.references import refuse_repeated, refuse_undefined, texts_under
from epp.config.schema import Place, read_fields

# The saturation detector that exists without being listed among the plugins.
DEFAULT_SATURATION_DETECTOR = "utilization-detector"

# Names end up in metric labels and messages; the reference has no limit, custom resources have this one.
Name = Annotated[str, Length(1, 253)]

# What `featureGates` may name in v1.5; the reference refuses others as well.
FeatureGate = Literal["dataLayer", "enableLegacyMetrics", "flowControl"]


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """One plugin to make: a name for it, its type, and parameters that the type understands."""

    name: str
    type: str
    parameters: Mapping[str, Any]
    line: int


@dataclass(frozen=True, slots=True)
class PluginRef:
    """A plugin's part in a profile; `weight` counts for scorers, None: the file gives none."""

    name: str
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """One scheduling profile: its plugins in the order of the file."""

    name: str
    plugins: tuple[PluginRef, ...]


@dataclass(frozen=True, slots=True)
class PickerConfig:
    """A whole configuration. No `profiles`: one is made of all plugins. Raw parts are None if absent."""

    plugins: tuple[PluginSpec, ...] = ()
    profiles: tuple[ProfileSpec, ...] = ()
    saturation_detector: str | None = None
    feature_gates: frozenset[str] = frozenset()
    data_layer: Mapping[str, Any] | None = None
    flow_control: Mapping[str, Any] | None = None
    parser: Mapping[str, Any] | None = None
    request_handler: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """An item of `plugins`."""

    place: Place
    type: Name
    name: Name | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefEntry:
    """An item of a profile's `plugins`."""

    plugin_ref: Name
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """An item of `schedulingProfiles`."""

    place: Place
    name: Name
    plugins: tuple[RefEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class DetectorEntry:
    """`saturationDetector`."""

    plugin_ref: Name = DEFAULT_SATURATION_DETECTOR


@dataclass(frozen=True, slots=True)
class PickerFile:
    """The whole document."""

    api_version: Literal["inference.networking.x-k8s.io/v1alpha1"]
    kind: Literal["EndpointPickerConfig"]
    feature_gates: tuple[FeatureGate, ...] = ()
    plugins: tuple[PluginEntry, ...] = ()
    scheduling_profiles: tuple[ProfileEntry, ...] = ()
    saturation_detector: DetectorEntry | None = None
    data_layer: Mapping[str, Any] | None = None
    flow_control: Mapping[str, Any] | None = None
    parser: Mapping[str, Any] | None = None
    request_handler: Mapping[str, Any] | None = None


def load_picker_config(text: str, file: str) -> PickerConfig:
    """The configuration in `text`; ConfigError with every fault in it, `file` being what they call it."""
    faults = Faults(file)
    root = parse_document(text, faults)
    values = read_fields(PickerFile, root, faults) if root else {}
    plugins: tuple[PluginEntry, ...] = values.get("plugins", ())
    profiles: tuple[ProfileEntry, ...] = values.get("scheduling_profiles", ())
    refuse_repeated("name", ((entry.name or entry.type, entry.place) for entry in plugins), faults)
    refuse_repeated("name", ((entry.name, entry.place) for entry in profiles), faults)
    if isinstance(root, MapNode):
        _check_references(root, faults)
    faults.raise_any()
    return _config(PickerFile(**values))


def _check_references(root: MapNode, faults: Faults) -> None:
    """A fault for each reference to no plugin. To refer to a plugin that itself has a fault is none."""
    defined = _plugin_names(root.entries.get("plugins"))
    for section, known in (
        ("schedulingProfiles", defined),
        ("saturationDetector", defined | {DEFAULT_SATURATION_DETECTOR}),
    ):
        if section in root.entries:
            refuse_undefined(texts_under("pluginRef", root.entries[section], section), known, faults)


def _plugin_names(section: Node | None) -> set[str]:
    entries = plain(section) if isinstance(section, ListNode) else []
    names = (entry.get("name") or entry.get("type") for entry in entries if isinstance(entry, dict))
    return {name for name in names if isinstance(name, str)}


def _config(file: PickerFile) -> PickerConfig:
    return PickerConfig(
        plugins=tuple(
            PluginSpec(entry.name or entry.type, entry.type, entry.parameters, entry.place.line)
            for entry in file.plugins
        ),
        profiles=tuple(
            ProfileSpec(entry.name, tuple(PluginRef(ref.plugin_ref, ref.weight) for ref in entry.plugins))
            for entry in file.scheduling_profiles
        ),
        saturation_detector=file.saturation_detector.plugin_ref if file.saturation_detector else None,
        feature_gates=frozenset(file.feature_gates),
        data_layer=file.data_layer,
        flow_control=file.flow_control,
        parser=file.parser,
        request_handler=file.request_handler,
    )
