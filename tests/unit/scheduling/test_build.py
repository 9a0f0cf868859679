"""From a configuration's text to a profile that decides, and a detector."""

from __future__ import annotations

import random

import pytest

from epp.config.picker import PickerConfig, load_picker_config
from epp.datastore.store import Datastore
from epp.errors import ConfigError
from epp.plugins.utilization_detector import UtilizationDetector
from epp.scheduling.build import DEFAULT_CONFIG, DEFAULT_WEIGHTS, build_policy
from epp.scheduling.policy import Policy
from epp.scheduling.profile import Profile
from tests.pools import NOW, everyone, load, request, store_of

HEAD = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"


def config(text: str) -> PickerConfig:
    return load_picker_config(HEAD + text, "picker.yaml")


def built(text: str, store: Datastore | None = None) -> Profile:
    (profile,) = policy_of(text, store).scheduler.profiles.values()
    return profile


def policy_of(text: str, store: Datastore | None = None) -> Policy:
    return build_policy(config(text), store or Datastore(), staleness=2.0)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refusal:
        built(text)
    return list(map(str, refusal.value.faults))


def test_the_built_in_profile() -> None:
    policy = build_policy(DEFAULT_CONFIG, Datastore(), staleness=2.0)
    (profile,) = policy.scheduler.profiles.values()
    lora, active = DEFAULT_WEIGHTS["lora-affinity-scorer"], DEFAULT_WEIGHTS["active-request-scorer"]
    assert repr(profile) == (
        "<Profile default: queue-scorer*2 kv-cache-utilization-scorer*2 prefix-cache-scorer*3 "
        f"lora-affinity-scorer*{lora:g} active-request-scorer*{active:g}>"
    )
    assert isinstance(policy.detector, UtilizationDetector)


def test_the_references_charts() -> None:
    # v1.0.1, without weights: every one is 1.
    text = """
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
  - pluginRef: kv-cache-utilization-scorer
  - pluginRef: prefix-cache-scorer
"""
    assert repr(built(text)) == (
        "<Profile default: queue-scorer*1 kv-cache-utilization-scorer*1 prefix-cache-scorer*1>"
    )


def test_without_profiles_every_plugin_is_in_one() -> None:
    text = "plugins:\n- {type: queue-scorer, name: q}\n- {type: lora-affinity-scorer}\n"
    assert repr(built(text)) == "<Profile default: q*1 lora-affinity-scorer*1>"


def test_endpoints_that_stopped_telling_are_always_filtered() -> None:
    store = store_of(load(9, 0.9), load(0, 0.0))
    profile = built("plugins:\n- type: queue-scorer\n", store)
    store.scraped("pod-0", load(9, 0.9), 0.05, NOW + 5)
    decision = profile.run(request(), everyone(store, NOW + 5), random.Random(0))
    assert [(name, len(slots)) for name, slots in decision.removed] == [("fresh-endpoints-filter", 1)]
    assert decision.destination == "192.168.1.1:8000"


def test_the_picker_that_a_profile_names() -> None:
    text = """
plugins:
- type: max-score-picker
  parameters: {maxNumOfEndpoints: 3}
schedulingProfiles:
- {name: p, plugins: [{pluginRef: max-score-picker}]}
"""
    store = store_of(load(), load(), load(), load())
    assert len(built(text, store).run(request(), everyone(store), random.Random(0)).picked) == 3


def test_a_picker_that_no_profile_names_is_used_all_the_same() -> None:
    text = """
plugins:
- type: queue-scorer
- type: max-score-picker
  parameters: {maxNumOfEndpoints: 2}
schedulingProfiles:
- {name: p, plugins: [{pluginRef: queue-scorer}]}
"""
    store = store_of(load(), load(), load())
    assert len(built(text, store).run(request(), everyone(store), random.Random(0)).picked) == 2


@pytest.mark.parametrize(
    ("text", "saturation"),
    [
        ("plugins:\n- type: queue-scorer\n", 0.8),
        ("saturationDetector: {pluginRef: utilization-detector}\n", 0.8),
        (
            "plugins:\n- {type: utilization-detector, parameters: {queueDepthThreshold: 8}}\n"
            "saturationDetector: {pluginRef: utilization-detector}\n",
            0.5,
        ),
        (
            "plugins:\n- {name: mine, type: utilization-detector, parameters: {queueDepthThreshold: 8}}\n"
            "saturationDetector: {pluginRef: mine}\n",
            0.5,
        ),
    ],
)
def test_the_detector(text: str, saturation: float) -> None:
    assert policy_of(text).detector.saturation(everyone(store_of(load(4, 0.0)))) == saturation


def test_types_whose_work_is_always_done_may_be_listed() -> None:
    text = "plugins:\n- type: single-profile-handler\n- type: openai-parser\n- type: queue-scorer\n"
    assert repr(built(text)) == "<Profile default: queue-scorer*1>"


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        (
            "plugins:\n- type: queue-scorre\n",
            [
                'EndpointPickerConfig:4: plugins[0].type: "queue-scorre" is not a plugin type here; '
                'did you mean "queue-scorer"?'
            ],
        ),
        (
            "plugins:\n- type: max-score-picker\n  parameters: {maxNumOfEndpoints: many}\n- type: x\n",
            [
                "EndpointPickerConfig:4: plugins[0].parameters: maxNumOfEndpoints: has to be an integer",
                'EndpointPickerConfig:6: plugins[1].type: "x" is not a plugin type here',
            ],
        ),
        (
            "plugins:\n- type: queue-scorer\nsaturationDetector: {pluginRef: queue-scorer}\n",
            ['EndpointPickerConfig: saturationDetector: "queue-scorer" is not a saturation detector'],
        ),
        (
            "plugins:\n- type: queue-scorer\nschedulingProfiles:\n- {name: a}\n- {name: b}\n",
            ["EndpointPickerConfig: schedulingProfiles: this version runs one profile"],
        ),
        (
            "plugins:\n- {name: a, type: max-score-picker}\n- {name: b, type: max-score-picker}\n",
            ["EndpointPickerConfig: schedulingProfiles.default: a profile has one picker, this one several"],
        ),
        (
            "plugins:\n- type: queue-scorer\nschedulingProfiles:\n"
            "- {name: a, plugins: [{pluginRef: queue-scorer}, {pluginRef: queue-scorer}]}\n",
            ['EndpointPickerConfig: schedulingProfiles.a: lists "queue-scorer" twice'],
        ),
    ],
)
def test_every_fault_is_told(text: str, complaints: list[str]) -> None:
    assert faults(text) == complaints
