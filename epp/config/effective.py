"""A configuration as a file that says everything: what `epp config show` and /debug/config show."""

from __future__ import annotations

from typing import Any

import yaml

from epp.config.document import scalar_of
from epp.config.picker_config import PickerConfig, PluginRef, PluginSpec
from epp.config.picker_file import DataLayerEntry, FlowControlEntry
from epp.config.writing import written, written_fields, written_number


def effective_config(config: PickerConfig) -> dict[str, Any]:
    """`config` as a document with every default in it. To load it gives the same configuration."""
    document: dict[str, Any] = {
        "apiVersion": config.api_version,
        "kind": "EndpointPickerConfig",
        "featureGates": [f"{gate}={str(on).lower()}" for gate, on in config.feature_gates.items()],
        "plugins": [_plugin(spec) for spec in config.plugins],
        "schedulingProfiles": [
            {"name": profile.name, "plugins": [_ref(ref) for ref in profile.plugins]}
            for profile in config.profiles
        ],
        "saturationDetector": {"pluginRef": config.saturation_detector},
        "requestHandler": {"parsers": [{"pluginRef": name} for name in config.parsers]},
        "dataLayer": written(DataLayerEntry, config.data_layer),
    }
    if config.flow_control is not None:
        document["flowControl"] = written(FlowControlEntry, config.flow_control)
    return document


def effective_text(config: PickerConfig) -> str:
    """The same as YAML."""
    return yaml.dump(effective_config(config), Dumper=_Dumper, sort_keys=False, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes for our reading: what appears twice without aliases, and texts so that they stay texts."""

    def ignore_aliases(self, data: Any) -> bool:
        """True for everything."""
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """In quotes what YAML 1.2 would take for a number, true, false or null."""
        style = None if isinstance(scalar_of(data), str) else "'"
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _plugin(spec: PluginSpec) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": spec.name, "type": spec.type.name}
    if parameters := written_fields(spec.type.cls, spec.arguments):
        shown["parameters"] = parameters
    return shown


def _ref(ref: PluginRef) -> dict[str, Any]:
    shown: dict[str, Any] = {"pluginRef": ref.name}
    if ref.weight is not None:
        shown["weight"] = written_number(ref.weight)
    return shown
