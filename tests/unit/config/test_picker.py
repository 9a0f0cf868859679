"""Configurations right and wrong, with the picker's own plugin types."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.config.durations import Seconds
from epp.config.picker import load_picker_config
from epp.config.picker_config import PickerConfig, PluginRef, ProfileSpec
from epp.errors import ConfigError
from epp.plugins.registry import OWN_TYPES

HEAD = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"


def load(text: str) -> PickerConfig:
    return load_picker_config(HEAD + text, "epp.yaml", OWN_TYPES)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_picker_config(text, "epp.yaml", OWN_TYPES)
    return [str(fault) for fault in caught.value.faults]


def lines(text: str) -> list[str]:
    return [fault.removeprefix("epp.yaml:") for fault in faults(text)]


def faults_in(text: str) -> list[str]:
    """Without the two lines of the head: the first line of `text` is line 3."""
    return lines(HEAD + text)


def warnings_in(text: str) -> list[str]:
    return [str(warning).removeprefix("epp.yaml:") for warning in load(text).warnings]


def test_reads_the_charts_configuration() -> None:
    config = load("""\
plugins:
- type: queue-scorer
- type: prefix-cache-scorer
  name: prefix
  parameters:
    blockSizeTokens: 64
    lruCapacityPerServer: 1000
- type: random-picker
  parameters: {maxNumOfEndpoints: 2}
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
    weight: 2
  - pluginRef: prefix
  - pluginRef: random-picker
featureGates: [flowControl=false, dataLayer]
""")
    assert [(plugin.name, plugin.type.name) for plugin in config.plugins[:3]] == [
        ("queue-scorer", "queue-scorer"),
        ("prefix", "prefix-cache-scorer"),
        ("random-picker", "random-picker"),
    ]
    queue, prefix, picker = (plugin.arguments for plugin in config.plugins[:3])
    assert (queue, picker) == ({}, {"max_num_of_endpoints": 2})
    assert (prefix["block_size_tokens"], prefix["lru_capacity_per_server"]) == (64, 1000)
    assert prefix["match_length_weight"] == 0.0  # not given: the default
    assert config.plugins[1].place.line == 5
    assert config.profiles == (
        ProfileSpec(
            "default", (PluginRef("queue-scorer", 2.0), PluginRef("prefix", 1.0), PluginRef("random-picker"))
        ),
    )
    assert config.feature_gates == {"flowControl": False, "dataLayer": True}
    assert config.warnings == ()


def test_json_and_the_other_api_version_are_read_too() -> None:
    text = (
        '{"apiVersion":"llm-d.ai/v1alpha1","kind":"EndpointPickerConfig","plugins":[{"type":"queue-scorer"}]}'
    )
    assert load_picker_config(text, "epp.json", OWN_TYPES).plugins[0].name == "queue-scorer"


# Defaults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "plugins:\nschedulingProfiles: null\n", "plugins: []\nparser: {}\n"])
def test_what_a_file_leaves_out_is_filled_in(text: str) -> None:
    config = load(text)
    assert config.profiles == (ProfileSpec("default", (PluginRef("max-score-picker"),)),)
    assert config.handler == "single-profile-handler"
    assert config.saturation_detector == "utilization-detector"
    assert config.parsers == ("openai-parser",)
    assert [plugin.name for plugin in config.plugins] == [
        "max-score-picker",
        "single-profile-handler",
        "utilization-detector",
        "openai-parser",
        "metrics-data-source",
        "core-metrics-extractor",
    ]
    ((source,),) = (config.data_layer.sources or (),)
    assert (source.plugin_ref, source.extractors[0].plugin_ref) == (
        "metrics-data-source",
        "core-metrics-extractor",
    )


def test_without_profiles_every_filter_scorer_and_picker_is_in_one_in_the_files_order() -> None:
    config = load("""\
plugins:
- type: queue-scorer
- type: approx-prefix-cache-producer
- type: utilization-detector
- type: random-picker
- type: prefix-cache-scorer
- type: single-profile-handler
""")
    assert config.profiles == (
        ProfileSpec(
            "default",
            (
                PluginRef("queue-scorer", 1.0),
                PluginRef("utilization-detector"),
                PluginRef("random-picker"),
                PluginRef("prefix-cache-scorer", 1.0),
            ),
        ),
    )
    assert config.warnings == ()


def test_a_profile_without_a_picker_has_the_first_that_is_listed() -> None:
    config = load("""\
plugins:
- type: weighted-random-picker
- type: random-picker
- type: queue-scorer
schedulingProfiles:
- name: a
  plugins: [{pluginRef: queue-scorer, weight: 3}]
""")
    assert config.profiles[0].plugins == (PluginRef("queue-scorer", 3.0), PluginRef("weighted-random-picker"))


def test_weights_of_others_than_scorers_are_tolerated() -> None:
    config = load("""\
plugins: [{type: random-picker}]
schedulingProfiles: [{name: a, plugins: [{pluginRef: random-picker, weight: 3}]}]
""")
    assert config.profiles[0].plugins == (PluginRef("random-picker"),)


def test_llm_ds_places_for_detector_and_parsers() -> None:
    config = load("""\
plugins:
- {type: utilization-detector, name: ours}
flowControl: {saturationDetector: {pluginRef: ours}}
requestHandler: {parsers: [{pluginRef: openai-parser}]}
featureGates: [flowControl]
""")
    assert config.saturation_detector == "ours"
    assert config.parsers == ("openai-parser",)


def test_flow_control_is_read_and_kept() -> None:
    config = load("""\
featureGates: [flowControl]
plugins:
- {type: round-robin-fairness-policy, name: turns}
- {type: static-usage-limit-policy, parameters: {threshold: 0.9}}
flowControl:
  maxBytes: 1Gi
  maxRequests: 5k
  defaultRequestTTL: 1m30s
  noEndpointRequestTTL: 5s
  defaultPriorityBand: {maxRequests: "100", priority: 7}
  defaultNegativePriorityBand: {orderingPolicyRef: fcfs-ordering-policy}
  priorityBands:
  - {priority: 10, maxBytes: 500M, fairnessPolicyRef: turns}
  - {priority: -1}
  usageLimitPolicyPluginRef: static-usage-limit-policy
  enableEviction: true
""")
    flow_control = config.flow_control
    assert flow_control is not None
    assert (flow_control.max_bytes, flow_control.max_requests) == (2**30, 5000)
    assert flow_control.default_request_ttl == Seconds(90)
    assert flow_control.default_priority_band is not None
    assert flow_control.default_priority_band.max_requests == 100
    assert flow_control.priority_bands[0].fairness_policy_ref == "turns"
    assert flow_control.priority_bands[1].fairness_policy_ref == "global-strict-fairness-policy"
    assert {"global-strict-fairness-policy", "fcfs-ordering-policy"} <= {p.name for p in config.plugins}
    assert [str(each) for each in config.warnings] == [
        "epp.yaml:6: plugins[1].parameters: static-usage-limit-policy is checked and kept, but nothing comes "
        "of it yet"
    ]


# Warnings ------------------------------------------------------------------------------------------------


def test_what_is_odd_is_a_warning() -> None:
    assert warnings_in("""\
plugins:
- type: queue-scorer
  parameters: {smoothing: 3}
- type: openai-parser
- type: metrics-data-source
  parameters:
    path: /stats
- {type: openai-parser, name: other}
schedulingProfiles:
- name: a
  plugins:
  - pluginRef: queue-scorer
  - pluginRef: openai-parser
flowControl: {}
requestHandler: {parsers: [{pluginRef: other}, {pluginRef: openai-parser}]}
""") == [
        "5: plugins[0].parameters.smoothing: is not known here and is passed over",
        "9: plugins[2].parameters: metrics-data-source is checked and kept, but nothing comes of it yet",
        '15: schedulingProfiles[0].plugins[1]: "openai-parser" (parser) has no part in a profile; passed '
        "over",
        "16: flowControl: is not used without the feature gate flowControl",
        "17: requestHandler.parsers[1]: is not asked: every request is read by the first",
    ]


# Faults --------------------------------------------------------------------------------------------------


def test_every_fault_is_said_with_its_line_and_path() -> None:
    assert lines("""\
apiVersion: config.x-k8s.io/v1alpha1
kind: EndpointPickerConfg
featureGates: [flowcontrol, someGate, dataLayer=yes, 5]
plugins:
- name: nameless
- type: queue-scorer
- type: queue-scorer
- type: queue-scoror
  name: c
- type: utilization-detector
  name: d
  parametrs: {}
- {name: 5, type: random-picker, parameters: []}
- name: latency
  type: latency-scorer
- type: utilization-detector
  parameters:
    queueDepthTreshold: 5
    kvCacheUtilThreshold: 2
schedulingProfiles:
- plugins:
  - pluginRef: nameless
  - {pluginRef: queue-scorr, weight: x}
  - {}
- name: p
  plugins: [{pluginRef: token-load-scorer}, {pluginRef: zzz}]
- name: p
saturationDetector: {pluginRef: queue-scorer}
parser: {pluginRef: openai-parsr}
dataLayer: {sources: [{pluginRef: queue-scorer, extractors: [{pluginRef: c}, {pluginRef: d}]}]}
flowControl: {maxBytes: lots, defaultRequestTTL: 5, priorityBands: [{fairnessPolicyRef: d}]}
schedulingProfile: []
""") == [
        "1: apiVersion: has to be one of inference.networking.x-k8s.io/v1alpha1, llm-d.ai/v1alpha1, "
        'not "config.x-k8s.io/v1alpha1"; did you mean "inference.networking.x-k8s.io/v1alpha1"?',
        '2: kind: has to be EndpointPickerConfig, not "EndpointPickerConfg"',
        "3: featureGates[3]: has to be text, not 5; put it in quotes",
        "3: featureGates[0]: has to be one of dataLayer, enableLegacyMetrics, flowControl, "
        'not "flowcontrol"; did you mean "flowControl"?',
        '3: featureGates[1]: has to be one of dataLayer, enableLegacyMetrics, flowControl, not "someGate"',
        '3: featureGates[2]: dataLayer has to be true or false, not "yes"',
        "5: plugins[0].type: is missing",
        '7: plugins[2]: has the name "queue-scorer", which is taken on line 6',
        '8: plugins[3].type: "queue-scoror" is no plugin type; did you mean "queue-scorer"?',
        '12: plugins[4].parametrs: is no field; did you mean "parameters"?',
        "13: plugins[5].name: has to be text, not 5; put it in quotes",
        "13: plugins[5].parameters: has to be a map, not a list",
        '15: plugins[6].type: "latency-scorer" needs latency prediction, which this version does not have',
        '18: plugins[7].parameters.queueDepthTreshold: is no field; did you mean "queueDepthThreshold"?',
        "19: plugins[7].parameters.kvCacheUtilThreshold: has to be from 0 to 1, not 2.0",
        "21: schedulingProfiles[0].name: is missing",
        '23: schedulingProfiles[0].plugins[1].weight: has to be a number, not "x"',
        '23: schedulingProfiles[0].plugins[1].pluginRef: refers to "queue-scorr", which is not '
        'defined; did you mean "queue-scorer"?',
        "24: schedulingProfiles[0].plugins[2].pluginRef: is missing",
        '26: schedulingProfiles[1].plugins[0].pluginRef: refers to "token-load-scorer", which is not '
        'defined; list it under "plugins" first',
        '26: schedulingProfiles[1].plugins[1].pluginRef: refers to "zzz", which is not defined',
        '27: schedulingProfiles[2]: has the name "p", which is taken on line 25',
        "27: schedulingProfiles[2]: is a second profile: a profile handler has to say which one runs, "
        "and none is listed",
        '28: saturationDetector.pluginRef: refers to "queue-scorer", which is a scorer; it has to be '
        "a saturation detector",
        '29: parser.pluginRef: refers to "openai-parsr", which is not defined',
        '30: dataLayer.sources[0].pluginRef: refers to "queue-scorer", which is a scorer; it has to '
        "be a data source",
        '30: dataLayer.sources[0].extractors[1].pluginRef: refers to "d", which is a filter, '
        "saturation detector; it has to be an extractor",
        '31: flowControl.maxBytes: "lots" is no quantity; write a number and a unit, as in 512Mi, 1G, 1000',
        "31: flowControl.defaultRequestTTL: has to be text, not 5; put it in quotes",
        "31: flowControl.priorityBands[0].priority: is missing",
        '31: flowControl.priorityBands[0].fairnessPolicyRef: refers to "d", which is a filter, '
        "saturation detector; it has to be a fairness policy",
        '32: schedulingProfile: is no field; did you mean "schedulingProfiles"?',
    ]


@pytest.mark.parametrize("text", ["", "[]", "x", "plugins: [", "\x00"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    assert faults(text)


def test_a_profile_has_one_picker_and_each_plugin_once() -> None:
    assert faults_in("""\
plugins: [{type: random-picker}, {type: max-score-picker}, {type: queue-scorer}]
schedulingProfiles:
- name: a
  plugins:
  - {pluginRef: max-score-picker}
  - {pluginRef: queue-scorer}
  - {pluginRef: random-picker}
  - {pluginRef: queue-scorer}
""") == [
        '9: schedulingProfiles[0].plugins[2]: "random-picker" is a second picker, after "max-score-picker"; '
        "a profile has one",
        '10: schedulingProfiles[0].plugins[3]: lists "queue-scorer" in this profile again',
    ]
    assert faults_in("plugins:\n- type: random-picker\n- type: max-score-picker\n") == [
        '5: plugins[1]: "max-score-picker" is a second picker, after "random-picker"; a profile has one'
    ]


PROFILES = "schedulingProfiles:\n- name: a\n- name: b\n"


def test_several_profiles_need_a_handler_that_can_choose() -> None:
    assert faults_in(PROFILES) == [
        "5: schedulingProfiles[1]: is a second profile: a profile handler has to say which one runs, and "
        "none is listed"
    ]
    assert faults_in(PROFILES + "plugins: [{type: single-profile-handler}]\n") == [
        "5: schedulingProfiles[1]: is a second profile, and single-profile-handler runs only one"
    ]


def test_there_is_one_handler() -> None:
    assert faults_in("""\
plugins:
- type: single-profile-handler
- {type: single-profile-handler, name: other}
""") == ['5: plugins[1]: is a second profile handler, after "single-profile-handler"; there can be one']


def test_detector_and_parser_are_given_in_one_place() -> None:
    assert faults_in("""\
plugins: [{type: utilization-detector, name: a}, {type: openai-parser}]
saturationDetector: {}
flowControl: {saturationDetector: {pluginRef: a}}
parser: {pluginRef: openai-parser}
requestHandler: {parsers: [{pluginRef: openai-parser}]}
""") == [
        '5: flowControl.saturationDetector: is "a", and saturationDetector "utilization-detector"; give one',
        "7: requestHandler.parsers[0]: stands beside `parser`; give one of them",
    ]


def test_bands_have_priorities_of_their_own() -> None:
    assert faults_in("""\
featureGates: [flowControl]
flowControl:
  priorityBands:
  - priority: 1
  - priority: 1
""") == ['7: flowControl.priorityBands[1]: has the priority "1", which is taken on line 6']


def test_the_name_of_an_unlisted_plugin_cannot_be_anothers() -> None:
    assert faults_in("plugins:\n- {type: queue-scorer, name: max-score-picker}\n") == [
        '4: plugins[0]: has the name "max-score-picker", by which the picker means a picker; choose another'
    ]


def test_what_a_class_refuses_is_a_fault_of_the_parameters() -> None:
    (fault,) = faults_in("""\
plugins:
- type: label-selector-filter
  parameters:
    matchExpressions: [{key: a, operator: In}]
""")
    assert fault.startswith("6: plugins[0].parameters: ")


# Anything at all ------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        *("queue-scorer", "max-score-picker", "by-label", "utilization-detector", "latency-scorer", "a", ""),
        *("llm-d.ai/v1alpha1", "EndpointPickerConfig", "flowControl=true", "1Gi", "5s"),
    ]
)
KEYS = st.sampled_from(
    [
        *("apiVersion", "kind", "plugins", "schedulingProfiles", "featureGates", "flowControl", "dataLayer"),
        *(
            "saturationDetector",
            "requestHandler",
            "parser",
            "parsers",
            "sources",
            "extractors",
            "name",
            "type",
        ),
        *(
            "parameters",
            "pluginRef",
            "weight",
            "priorityBands",
            "priority",
            "maxBytes",
            "label",
            "x",
            "extractors",
        ),
    ]
)
TREES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_any_document_is_a_configuration_or_has_faults(document: dict[str, Any]) -> None:
    document = {"apiVersion": "llm-d.ai/v1alpha1", "kind": "EndpointPickerConfig", **document}
    try:
        load_picker_config(json.dumps(document), "f", OWN_TYPES)
    except ConfigError as error:
        told = [str(fault) for fault in error.faults]
        assert len(told) == len(set(told))
