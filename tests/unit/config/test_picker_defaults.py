"""The rules are told in test_picker.py; here is what holds for any file."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from epp.config.picker import load_picker_config
from epp.config.picker_defaults import DEFAULT_PROFILE
from epp.errors import ConfigError
from epp.plugins.registry import OWN_TYPES

NAMES = st.sampled_from(["a", "b", "queue-scorer", "max-score-picker", "utilization-detector"])
REFS = st.lists(st.fixed_dictionaries({"pluginRef": NAMES}, optional={"weight": st.floats(0, 9)}), max_size=3)
FILES = st.fixed_dictionaries(
    {
        "apiVersion": st.just("llm-d.ai/v1alpha1"),
        "kind": st.just("EndpointPickerConfig"),
        "plugins": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(sorted(OWN_TYPES.types))}, optional={"name": NAMES}
            ),
            max_size=4,
        ),
    },
    optional={
        "schedulingProfiles": st.lists(
            st.fixed_dictionaries({"name": NAMES}, optional={"plugins": REFS}), max_size=2
        ),
        "saturationDetector": st.fixed_dictionaries({"pluginRef": NAMES}),
        "flowControl": st.just({}),
    },
)


@given(FILES)
def test_any_file_is_refused_with_reasons_or_complete(file: dict[str, Any]) -> None:
    try:
        config = load_picker_config(yaml.safe_dump(file), "f", OWN_TYPES)
    except ConfigError:  # which has reasons, as test_picker.py shows
        return
    plugins = {plugin.name: plugin.type for plugin in config.plugins}
    assert "profile handler" in plugins[config.handler].kinds
    assert "saturation detector" in plugins[config.saturation_detector].kinds
    assert all("parser" in plugins[name].kinds for name in config.parsers)
    for profile in config.profiles:
        assert sum("picker" in plugins[ref.name].kinds for ref in profile.plugins) == 1
        for ref in profile.plugins:
            assert ("scorer" in plugins[ref.name].kinds) == (ref.weight is not None)


def test_the_profile_of_a_file_without_one_has_the_references_name() -> None:
    assert DEFAULT_PROFILE == "default"
