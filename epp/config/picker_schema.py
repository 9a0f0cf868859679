"""The JSON Schema of a whole EndpointPickerConfig: its fields, and the parameters of each plugin type."""

from __future__ import annotations

from typing import Any

from epp.config.catalogue import Catalogue, PluginType
from epp.config.json_schema import DIALECT, Schema, object_of
from epp.config.picker_file import FEATURE_GATES, OLD_FEATURE_GATES, PickerFile


def picker_schema(catalogue: Catalogue) -> Schema:
    """What a configuration may say with the types of `catalogue`.

    It allows what the reading allows, but for parameters that are passed over: of those it knows the ones
    that other versions of the reference had. What only the whole file can tell (a reference to no plugin, a
    second picker) is for `epp config check`.
    """
    schema: Schema = {"$schema": DIALECT, "title": "EndpointPickerConfig", **object_of(PickerFile)}
    gates = "|".join((*FEATURE_GATES, *OLD_FEATURE_GATES))
    schema["properties"]["featureGates"]["items"]["pattern"] = f"^(?:{gates})(?:=(?:true|false))?$"
    plugin = schema["properties"]["plugins"]["items"]
    plugin["properties"]["type"]["enum"] = sorted(catalogue.types)
    plugin["properties"]["parameters"] |= {"type": ["object", "null"]}
    plugin["allOf"] = [_parameters(each) for _, each in sorted(catalogue.types.items())]
    return schema


def _parameters(plugin_type: PluginType) -> Schema:
    """If a plugin is of this type, then it has these parameters."""
    parameters: dict[str, Any] = object_of(plugin_type.cls)
    parameters["type"] = ["object", "null"]
    for key, reason in plugin_type.passed_over.items():
        parameters["properties"][key] = {"deprecated": True, "description": f"passed over: {reason}"}
    then: Schema = {"properties": {"parameters": parameters}}
    if "required" in parameters:
        parameters["type"] = "object"
        then["required"] = ["parameters"]
    return {"if": {"properties": {"type": {"const": plugin_type.name}}, "required": ["type"]}, "then": then}
