"""What an EndpointPickerConfig leaves out, filled in; and what its parts have to be together.

The defaults are the reference's (v1.5), with one difference: where it goes through plugins in a random order,
the order of the file counts here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from epp.config.catalogue import IN_PROFILES, Catalogue, Kind
from epp.config.constraints import quote
from epp.config.document import Faults
from epp.config.fields import Place
from epp.config.picker_config import PickerConfig, PluginRef, PluginSpec, ProfileSpec
from epp.config.picker_file import (
    UNLISTED,
    BandEntry,
    DataLayerEntry,
    DefaultBandEntry,
    DetectorEntry,
    ExtractorEntry,
    FlowControlEntry,
    ParserEntry,
    PickerFile,
    ProfileEntry,
    RefEntry,
    SourceEntry,
)
from epp.config.references import refuse_repeated

# The reference's name for the profile of a file that has none.
DEFAULT_PROFILE = "default"


class Defaults:
    """Makes a PickerConfig of a file as it is written, whose plugins were read already."""

    def __init__(
        self, written: PickerFile, plugins: Iterable[PluginSpec], catalogue: Catalogue, faults: Faults
    ) -> None:
        self._written = written
        self._plugins = {plugin.name: plugin for plugin in plugins}
        self._listed = tuple(self._plugins.values())
        self._catalogue = catalogue
        self._faults = faults

    def config(self, gates: Mapping[str, bool]) -> PickerConfig:
        """The configuration. What is wrong with it is in the faults."""
        written = self._written
        profiles = tuple(self._profile(entry) for entry in written.scheduling_profiles or (self._of_all(),))
        handler = self._handler(profiles)
        detector = self._detector()
        parsers = self._parsers()
        data_layer = self._data_layer()
        return PickerConfig(
            file=self._faults.file,
            api_version=written.api_version,
            profiles=profiles,
            handler=handler,
            saturation_detector=detector,
            parsers=parsers,
            feature_gates=gates,
            data_layer=data_layer,
            flow_control=self._flow_control(gates),
            plugins=tuple(self._plugins.values()),
            warnings=tuple(sorted(self._faults.warnings, key=lambda fault: fault.line)),
        )

    # Profiles --------------------------------------------------------------------------------------------

    def _of_all(self) -> ProfileEntry:
        """The profile of a file that has none: whatever can have a part in one."""
        with_part = (plugin for plugin in self._listed if plugin.type.kinds & IN_PROFILES)
        refs = tuple(RefEntry(plugin.place, plugin.name) for plugin in with_part)
        return ProfileEntry(self._listed[0].place if self._listed else Place(), DEFAULT_PROFILE, refs)

    def _profile(self, entry: ProfileEntry) -> ProfileSpec:
        refs: dict[str, PluginRef] = {}
        picker = ""
        for ref in entry.plugins:
            plugin = self._plugins.get(ref.plugin_ref)
            if plugin is None:
                continue  # a fault already
            line, path = ref.place.line, ref.place.path
            if ref.plugin_ref in refs:
                self._faults.add(line, path, f"lists {quote(plugin.name)} in this profile again")
            elif not plugin.type.kinds & IN_PROFILES:
                message = (
                    f"{quote(plugin.name)} ({plugin.type.kind_words}) has no part in a profile; passed over"
                )
                self._faults.warn(line, path, message)
            elif "picker" in plugin.type.kinds and picker:
                message = f"{quote(plugin.name)} is a second picker, after {quote(picker)}; a profile has one"
                self._faults.add(line, path, message)
            else:
                picker = plugin.name if "picker" in plugin.type.kinds else picker
                weight = 1.0 if ref.weight is None else ref.weight
                is_scorer = "scorer" in plugin.type.kinds
                refs[plugin.name] = PluginRef(plugin.name, weight if is_scorer else None, ref.place)
        if not picker:
            picker = self._any_picker()
            refs[picker] = PluginRef(picker)
        return ProfileSpec(entry.name, tuple(refs.values()))

    def _any_picker(self) -> str:
        """The first picker that the file lists; the default one, if it lists none."""
        listed = (plugin.name for plugin in self._listed if "picker" in plugin.type.kinds)
        return next(listed, None) or self._unlisted("picker")

    def _handler(self, profiles: Sequence[ProfileSpec]) -> str:
        handlers = [plugin for plugin in self._listed if "profile handler" in plugin.type.kinds]
        for extra in handlers[1:]:
            message = f"is a second profile handler, after {quote(handlers[0].name)}; there can be one"
            self._faults.add(extra.place.line, extra.place.path, message)
        if len(profiles) > 1:
            self._check_handler_of_several(handlers)
        return handlers[0].name if handlers else self._unlisted("profile handler")

    def _check_handler_of_several(self, handlers: Sequence[PluginSpec]) -> None:
        second = self._written.scheduling_profiles[1].place
        if not handlers:
            message = "is a second profile: a profile handler has to say which one runs, and none is listed"
            self._faults.add(second.line, second.path, message)
        elif handlers[0].type.name == UNLISTED["profile handler"]:
            message = f"is a second profile, and {handlers[0].type.name} runs only one"
            self._faults.add(second.line, second.path, message)

    # The other parts -------------------------------------------------------------------------------------

    def _detector(self) -> str:
        top = self._written.saturation_detector
        flow_control = self._written.flow_control
        nested = flow_control.saturation_detector if flow_control else None
        if top and nested and top != nested:
            message = (
                f"is {quote(nested.plugin_ref)}, and saturationDetector {quote(top.plugin_ref)}; give one"
            )
            self._faults.add(nested.place.line, nested.place.path, message)
        chosen = (top or nested or DetectorEntry()).plugin_ref
        self._make_unlisted({chosen}, "saturation detector")
        return chosen

    def _parsers(self) -> tuple[str, ...]:
        handler = self._written.request_handler
        listed = handler.parsers if handler else ()
        if self._written.parser and listed:
            place = listed[0].place
            self._faults.add(place.line, place.path, "stands beside `parser`; give one of them")
        for extra in listed[1:]:
            message = "is not asked: every request is read by the first"
            self._faults.warn(extra.place.line, extra.place.path, message)
        entries = listed or (self._written.parser or ParserEntry(),)
        names = tuple(dict.fromkeys(entry.plugin_ref for entry in entries))
        self._make_unlisted(names, "parser")
        return names

    def _data_layer(self) -> DataLayerEntry:
        given = self._written.data_layer or DataLayerEntry()
        sources = given.sources
        if sources is None:
            source, extractor = self._unlisted("data source"), self._unlisted("extractor")
            sources = (SourceEntry(source, (ExtractorEntry(extractor),)),)
        return replace(given, sources=sources)

    def _flow_control(self, gates: Mapping[str, bool]) -> FlowControlEntry | None:
        given = self._written.flow_control
        if given is None:
            return None
        if not gates.get("flowControl"):
            message = "is not used without the feature gate flowControl"
            self._faults.warn(given.place.line, given.place.path, message)
        listed = given.priority_bands
        refuse_repeated("priority", ((str(band.priority), band.place) for band in listed), self._faults)
        defaults = (given.default_priority_band, given.default_negative_priority_band)
        bands: list[BandEntry | DefaultBandEntry] = [*listed, *(band for band in defaults if band)]
        self._make_unlisted({band.fairness_policy_ref for band in bands}, "fairness policy")
        self._make_unlisted({band.ordering_policy_ref for band in bands}, "ordering policy")
        self._make_unlisted({given.usage_limit_policy_plugin_ref}, "usage-limit policy")
        return replace(given, saturation_detector=None)  # it is the configuration's, wherever it was written

    # Plugins that exist without being listed -------------------------------------------------------------

    def _make_unlisted(self, names: Collection[str], kind: Kind) -> None:
        if UNLISTED[kind] in names:
            self._unlisted(kind)

    def _unlisted(self, kind: Kind) -> str:
        """The name of the plugin of `kind` that exists also where the file does not list it."""
        name = UNLISTED[kind]
        listed = self._plugins.get(name)
        if listed is None:
            plugin_type = self._catalogue.types[name]
            self._plugins[name] = PluginSpec(name, plugin_type, plugin_type.complete({}))
        elif kind not in listed.type.kinds:
            message = f"has the name {quote(name)}, by which the picker means a {kind}; choose another"
            self._faults.add(listed.place.line, listed.place.path, message)
        return name
