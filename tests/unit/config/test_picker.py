import pytest

from epp.config.picker import PickerConfig, PluginRef, PluginSpec, ProfileSpec, load_picker_config
from epp.errors import ConfigError

HEAD = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_picker_config(text, "epp.yaml")
    return [str(fault) for fault in caught.value.faults]


def test_reads_the_charts_configuration() -> None:
    text = (
        HEAD
        + """\
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
  name: prefix
  parameters:
    blockSize: 64
    nested: {list: [1, 2.5, x]}
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
    weight: 2
  - pluginRef: kv-cache-utilization-scorer
  - pluginRef: prefix
    weight: 0.5
saturationDetector:
  pluginRef: queue-scorer
featureGates: [flowControl, dataLayer]
"""
    )
    assert load_picker_config(text, "epp.yaml") == PickerConfig(
        plugins=(
            PluginSpec("queue-scorer", "queue-scorer", {}, 4),
            PluginSpec("kv-cache-utilization-scorer", "kv-cache-utilization-scorer", {}, 5),
            PluginSpec(
                "prefix", "prefix-cache-scorer", {"blockSize": 64, "nested": {"list": [1, 2.5, "x"]}}, 6
            ),
        ),
        profiles=(
            ProfileSpec(
                "default",
                (
                    PluginRef("queue-scorer", 2.0),
                    PluginRef("kv-cache-utilization-scorer", None),
                    PluginRef("prefix", 0.5),
                ),
            ),
        ),
        saturation_detector="queue-scorer",
        feature_gates=frozenset({"flowControl", "dataLayer"}),
    )


def test_json_is_read_too() -> None:
    text = (
        '{"apiVersion":"inference.networking.x-k8s.io/v1alpha1",'
        '"kind":"EndpointPickerConfig","plugins":[{"type":"a"}]}'
    )
    assert load_picker_config(text, "epp.json").plugins == (PluginSpec("a", "a", {}, 1),)


def test_what_is_absent_is_empty_or_none() -> None:
    assert load_picker_config(HEAD, "epp.yaml") == PickerConfig()
    assert load_picker_config(HEAD + "plugins:\nschedulingProfiles: null\n", "epp.yaml") == PickerConfig()


def test_parts_for_others_are_kept_as_they_stand() -> None:
    found = load_picker_config(
        HEAD
        + """\
dataLayer: {sources: [{pluginRef: metrics, extractors: [{pluginRef: core}]}]}
flowControl: {maxBytes: 1Gi, defaultRequestTTL: 30s}
parser: {pluginRef: openai-parser}
requestHandler: {anything: [1]}
""",
        "epp.yaml",
    )
    assert found.data_layer == {"sources": [{"pluginRef": "metrics", "extractors": [{"pluginRef": "core"}]}]}
    assert found.flow_control == {"maxBytes": "1Gi", "defaultRequestTTL": "30s"}
    assert found.parser == {"pluginRef": "openai-parser"}
    assert found.request_handler == {"anything": [1]}


@pytest.mark.parametrize("section", ["{}", "{pluginRef: utilization-detector}"])
def test_the_default_detector_needs_no_definition(section: str) -> None:
    found = load_picker_config(HEAD + f"saturationDetector: {section}\n", "epp.yaml")
    assert found.saturation_detector == "utilization-detector"


def test_every_fault_is_said_with_its_line_and_path() -> None:
    assert faults("""\
apiVersion: config.x-k8s.io/v1alpha1
kind: EndpointPickerConfg
featureGates: [flowcontrol, prepareDataPlugins]
plugins:
- name: nameless
- type: queue-scorer
- type: queue-scorer
- type: c
  parametrs: {}
- {name: 5, type: d, parameters: []}
schedulingProfiles:
- plugins:
  - pluginRef: nameless
  - {pluginRef: queue-scorr, weight: x}
  - {}
- name: p
  plugins: [{pluginRef: e}]
- name: p
saturationDetector: {pluginRef: utilisation-detector}
dataLayer: []
schedulingProfile: []
""") == [
        "epp.yaml:1: apiVersion: has to be inference.networking.x-k8s.io/v1alpha1, "
        'not "config.x-k8s.io/v1alpha1"',
        'epp.yaml:2: kind: has to be EndpointPickerConfig, not "EndpointPickerConfg"',
        "epp.yaml:3: featureGates[0]: has to be one of dataLayer, enableLegacyMetrics, flowControl, "
        'not "flowcontrol"; did you mean "flowControl"?',
        "epp.yaml:3: featureGates[1]: has to be one of dataLayer, enableLegacyMetrics, flowControl, "
        'not "prepareDataPlugins"',
        "epp.yaml:5: plugins[0].type: is missing",
        'epp.yaml:7: plugins[2]: has the name "queue-scorer", which is taken on line 6',
        'epp.yaml:9: plugins[3].parametrs: is no field; did you mean "parameters"?',
        "epp.yaml:10: plugins[4].name: has to be text, not 5; put it in quotes",
        "epp.yaml:10: plugins[4].parameters: has to be a map, not a list",
        "epp.yaml:12: schedulingProfiles[0].name: is missing",
        'epp.yaml:14: schedulingProfiles[0].plugins[1].weight: has to be a number, not "x"',
        'epp.yaml:14: schedulingProfiles[0].plugins[1].pluginRef: refers to "queue-scorr", which is not '
        'defined; did you mean "queue-scorer"?',
        "epp.yaml:15: schedulingProfiles[0].plugins[2].pluginRef: is missing",
        'epp.yaml:17: schedulingProfiles[1].plugins[0].pluginRef: refers to "e", which is not defined',
        'epp.yaml:18: schedulingProfiles[2]: has the name "p", which is taken on line 16',
        'epp.yaml:19: saturationDetector.pluginRef: refers to "utilisation-detector", which is not defined; '
        'did you mean "utilization-detector"?',
        "epp.yaml:20: dataLayer: has to be a map, not a list",
        'epp.yaml:21: schedulingProfile: is no field; did you mean "schedulingProfiles"?',
    ]


@pytest.mark.parametrize("text", ["", "[]", "x", "plugins: [", "\x00"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    assert faults(text)
