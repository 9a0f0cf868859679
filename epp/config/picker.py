"""Reads an EndpointPickerConfig and checks it against the catalogue, every fault at once.

    apiVersion: inference.networking.x-k8s.io/v1alpha1      # or llm-d.ai/v1alpha1
    kind: EndpointPickerConfig
    plugins:
      - type: queue-scorer
      - type: my-scorer
        name: mine
        parameters: {threshold: 5}
    schedulingProfiles:
      - name: default
        plugins:
          - pluginRef: queue-scorer
            weight: 2
          - pluginRef: mine

The fields are in epp/config/picker_file.py, the defaults in epp/config/picker_defaults.py. Checks go by the
tree where they can, so that a fault hides no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from epp.config.catalogue import Catalogue, PluginType
from epp.config.constraints import quote
from epp.config.document import Faults, ListNode, MapNode, Node, child_path, item_path, parse_document
from epp.config.fields import Place
from epp.config.picker_config import PickerConfig, PluginSpec
from epp.config.picker_defaults import Defaults
from epp.config.picker_file import FEATURE_GATES, OLD_FEATURE_GATES, UNLISTED, PickerFile
from epp.config.references import NamesType, Reference, RefersTo, references, refuse_repeated, text_of
from epp.config.schema import is_null, read_fields
from epp.config.suggestion import did_you_mean


def load_picker_config(text: str, file: str, catalogue: Catalogue) -> PickerConfig:
    """The configuration in `text`; ConfigError with every fault in it, `file` being what they call it."""
    faults = Faults(file)
    root = parse_document(text, faults)
    values: dict[str, Any] = {}
    plugins: list[PluginSpec] = []
    if root is not None:
        values = read_fields(PickerFile, root, faults)
    if isinstance(root, MapNode):
        plugins = list(_plugins(root.entries.get("plugins"), catalogue, faults))
        _check_references(root, catalogue, faults)
    for required in ("api_version", "kind"):
        values.setdefault(required, "")
    written = PickerFile(**values)
    gates = _gates(root, faults)
    refuse_repeated(
        "name", ((profile.name, profile.place) for profile in written.scheduling_profiles), faults
    )
    config = Defaults(written, plugins, catalogue, faults).config(gates)
    faults.raise_any()
    return config


# Plugins -------------------------------------------------------------------------------------------------


def _plugins(section: Node | None, catalogue: Catalogue, faults: Faults) -> Iterator[PluginSpec]:
    """What `plugins` lists, as far as it can be read."""
    first: dict[str, Place] = {}
    for name, plugin_type, node, path in _listed(section):
        if name in first:
            message = f"has the name {quote(name)}, which is taken on line {first[name].line}"
            faults.add(node.line, path, message)
            continue
        place = first[name] = Place(node.line, path)
        known = catalogue.named(plugin_type) if plugin_type else None
        if known is not None:
            yield PluginSpec(name, known, _arguments(known, node, path, faults), place)


def _listed(section: Node | None) -> Iterator[tuple[str, str | None, MapNode, str]]:
    """Name, type, tree and path of each plugin that has a name."""
    for index, node in enumerate(section.items if isinstance(section, ListNode) else ()):
        if isinstance(node, MapNode):
            plugin_type = text_of(node.entries.get("type"))
            name = text_of(node.entries.get("name")) or plugin_type
            if name:
                yield name, plugin_type, node, item_path("plugins", index)


def _arguments(plugin_type: PluginType, entry: MapNode, path: str, faults: Faults) -> dict[str, Any]:
    """What the plugin's class is given; a fault if it refuses that."""
    node = entry.entries.get("parameters")
    path = child_path(path, "parameters")
    before = len(faults.found)
    if node is None or is_null(node):
        node = MapNode(entry.line, {}, {})
    arguments = plugin_type.read(node, faults, path)
    if len(faults.found) > before:
        return arguments
    try:
        plugin_type.make(arguments)
    except ValueError as error:
        faults.add(node.line, path, str(error))
    complete = plugin_type.complete(arguments)
    if arguments and not plugin_type.used and not plugin_type.is_default(complete):
        faults.warn(node.line, path, f"{plugin_type.name} is checked and kept, but nothing comes of it yet")
    return complete


# References ----------------------------------------------------------------------------------------------


def _check_references(root: MapNode, catalogue: Catalogue, faults: Faults) -> None:
    """Faults for types that do not exist, and for names of no plugin or of one of the wrong kind.

    To refer to a plugin that itself has a fault is none.
    """
    types = {name: plugin_type for name, plugin_type, _, _ in _listed(root.entries.get("plugins"))}
    for reference in references(PickerFile, root):
        if isinstance(reference.marker, NamesType):
            _check_type(reference, catalogue, faults)
        else:
            _check_reference(reference, reference.marker, types, catalogue, faults)


def _check_type(reference: Reference, catalogue: Catalogue, faults: Faults) -> None:
    if reference.word not in catalogue.types:
        place = reference.place
        faults.add(place.line, place.path, catalogue.objection(reference.word))


def _check_reference(
    reference: Reference,
    marker: RefersTo,
    types: dict[str, str | None],
    catalogue: Catalogue,
    faults: Faults,
) -> None:
    word, place = reference.word, reference.place
    unlisted = word not in types and any(UNLISTED.get(kind) == word for kind in marker.kinds)
    if word not in types and not unlisted:
        listed = '; list it under "plugins" first' if word in catalogue.types else did_you_mean(word, types)
        faults.add(place.line, place.path, f"refers to {quote(word)}, which is not defined{listed}")
        return
    known = catalogue.named((word if unlisted else types[word]) or "")
    if known is not None and marker.kinds and not marker.kinds & known.kinds:
        wanted = " or ".join(sorted(marker.kinds))
        faults.add(
            place.line,
            place.path,
            f"refers to {quote(word)}, which is {_a(known.kind_words)}; it has to be {_a(wanted)}",
        )


def _a(words: str) -> str:
    return f"an {words}" if words[0] in "aeio" else f"a {words}"  # a usage-limit policy


# Feature gates -------------------------------------------------------------------------------------------


def _gates(root: Node | None, faults: Faults) -> dict[str, bool]:
    """The feature gates that the file sets: `name`, `name=true` or `name=false`; the last one counts."""
    section = root.entries.get("featureGates") if isinstance(root, MapNode) else None
    gates: dict[str, bool] = {}
    for index, item in enumerate(section.items if isinstance(section, ListNode) else ()):
        text = text_of(item)
        if text is None:
            continue  # a fault already
        name, equals, value = text.partition("=")
        if name in OLD_FEATURE_GATES:
            place = item_path("featureGates", index)
            faults.warn(item.line, place, f"{name} is a gate of earlier versions, and passed over")
            continue
        if name not in FEATURE_GATES:
            known = ", ".join(FEATURE_GATES)
            message = f"has to be one of {known}, not {quote(name)}{did_you_mean(name, FEATURE_GATES)}"
            faults.add(item.line, item_path("featureGates", index), message)
        elif equals and value not in ("true", "false"):
            message = f"{name} has to be true or false, not {quote(value)}"
            faults.add(item.line, item_path("featureGates", index), message)
        gates[name] = value != "false"
    return gates
