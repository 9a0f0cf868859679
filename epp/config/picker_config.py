"""An EndpointPickerConfig as it counts: every reference resolved, every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from epp.config.catalogue import PluginType
from epp.config.fields import Place
from epp.config.picker_file import DataLayerEntry, FlowControlEntry
from epp.errors import Fault


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """A plugin to make: a name for it, its type, and what its class is given, defaults included.

    `place` is where it stands; nowhere, if the file does not list it.
    """

    name: str
    type: PluginType
    arguments: Mapping[str, Any]
    place: Place = field(default_factory=Place, compare=False)


@dataclass(frozen=True, slots=True)
class PluginRef:
    """A plugin's part in a profile. `weight` counts for scorers; None: the file gives none."""

    name: str
    weight: float | None = None
    place: Place = field(default_factory=Place, compare=False)


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """A scheduling profile: its plugins in the order of the file, each with a part in it; one is a picker."""

    name: str
    plugins: tuple[PluginRef, ...]


@dataclass(frozen=True, slots=True)
class PickerConfig:
    """A whole configuration. Names are those of `plugins`; there is at least one profile.

    `file` is what its faults call it, `warnings` what is odd in it.
    """

    file: str
    api_version: str
    plugins: tuple[PluginSpec, ...]
    profiles: tuple[ProfileSpec, ...]
    handler: str
    saturation_detector: str
    parsers: tuple[str, ...]
    feature_gates: Mapping[str, bool]
    data_layer: DataLayerEntry
    flow_control: FlowControlEntry | None
    warnings: tuple[Fault, ...] = field(default=(), compare=False)
