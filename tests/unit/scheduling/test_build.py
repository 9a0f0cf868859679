"""From a configuration's text to a policy that decides; and what of it stays when the next one is built."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from epp.config.catalogue import PluginType
from epp.config.picker import load_picker_config
from epp.config.picker_config import PickerConfig
from epp.datastore.endpoints import Candidates
from epp.datastore.store import Datastore
from epp.errors import ConfigError
from epp.plugin import Context
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.plugins.deciders import AlwaysDisaggPdDecider, PrefixBasedPdDecider
from epp.plugins.registry import catalogue, kinds_of
from epp.plugins.utilization_detector import UtilizationDetector
from epp.scheduling.build import build_policy
from epp.scheduling.default import DEFAULT_CONFIG
from epp.scheduling.policy import Policy
from epp.scheduling.profile import Profile
from epp.types import InferenceRequest
from tests.pools import NOW, everyone, load, request, store_of

HEAD = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"


@dataclass
class Partner:
    """A scorer that needs another plugin."""

    partner: str = ""
    given: Any = field(init=False, default=None)

    def setup(self, context: Context) -> None:
        if self.partner == "nobody":
            raise KeyError(self.partner)
        if self.partner:
            self.given = context.shared(Partner, self.partner)

    def score(self, request: InferenceRequest, endpoints: Candidates) -> float:
        return 0.0


@dataclass
class Counter:
    """A scorer that knows how many profiles there are."""

    profiles: int = field(init=False, default=0)

    def setup(self, context: Context) -> None:
        self.profiles = len(context.profiles)

    def score(self, request: InferenceRequest, endpoints: Candidates) -> float:
        return 0.0


TYPES = catalogue(
    PluginType(name, cls, kinds_of(cls)) for name, cls in (("partner", Partner), ("counter", Counter))
)


def config(text: str) -> PickerConfig:
    return load_picker_config(HEAD + text, "picker.yaml", TYPES)


def policy_of(text: str, store: Datastore | None = None, previous: Policy | None = None) -> Policy:
    return build_policy(config(text), store or Datastore(), staleness=2.0, previous=previous)


def built(text: str, store: Datastore | None = None) -> Profile:
    (profile,) = policy_of(text, store).scheduler.profiles.values()
    return profile


def plugin(policy: Policy, name: str) -> Any:
    return next(each.plugin for each in policy.made if each.spec.name == name)


def test_the_built_in_profile() -> None:
    policy = build_policy(DEFAULT_CONFIG, Datastore(), staleness=2.0)
    (profile,) = policy.scheduler.profiles.values()
    assert repr(profile) == "<Profile default: expected-ttft-scorer*1>"
    assert isinstance(policy.detector.plugin, UtilizationDetector)
    assert policy.scheduler.handler is None


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


def test_a_plugin_has_every_part_that_it_can_have() -> None:
    profile = built("plugins:\n- {type: context-length-aware}\n- {type: utilization-detector}\n")
    assert [each.name for each in profile.filters] == [
        "fresh-endpoints-filter",
        "context-length-aware",
        "utilization-detector",
    ]
    assert [each.name for each in profile.scorers] == ["context-length-aware"]


def test_several_profiles_and_their_handler() -> None:
    policy = policy_of("""
plugins:
- {type: header-profile-handler, parameters: {defaultProfile: a}}
- {type: queue-scorer}
schedulingProfiles:
- {name: a, plugins: [{pluginRef: queue-scorer}]}
- {name: b, plugins: [{pluginRef: queue-scorer, weight: 2}]}
""")
    assert list(map(repr, policy.scheduler.profiles.values())) == [
        "<Profile a: queue-scorer*1>",
        "<Profile b: queue-scorer*2>",
    ]
    assert policy.scheduler.handler is not None
    assert policy.scheduler.handler.type == "header-profile-handler"


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


# Plugins that need others --------------------------------------------------------------------------------


def test_what_others_need_is_set_up_before_them() -> None:
    policy = policy_of("plugins:\n- {type: partner, parameters: {partner: b}}\n- {type: partner, name: b}\n")
    assert [each.spec.name for each in policy.made][:2] == ["b", "partner"]
    assert plugin(policy, "partner").given is plugin(policy, "b")


def test_a_shared_plugin_that_is_not_listed_is_made_once() -> None:
    policy = policy_of("plugins:\n- type: prefix-cache-scorer\n- type: no-hit-lru-scorer\n")
    (producer,) = (each for each in policy.plugins if isinstance(each, ApproxPrefixCacheProducer))
    assert plugin(policy, "approx-prefix-cache-producer") is producer


@pytest.mark.parametrize(
    ("threshold", "decider"),
    [(0, AlwaysDisaggPdDecider()), (10, PrefixBasedPdDecider(3)), (None, PrefixBasedPdDecider(25))],
)
def test_a_shared_plugin_may_be_made_under_the_name_that_was_asked_for(
    threshold: int | None, decider: object
) -> None:
    parameters = "{}" if threshold is None else f"{{threshold: {threshold}}}"
    policy = policy_of(f"""
plugins: [{{type: pd-profile-handler, parameters: {parameters}}}]
schedulingProfiles: [{{name: decode}}, {{name: prefill}}]
""")
    made = plugin(policy, "prefix-based-pd-decider")
    assert type(made) is type(decider)
    assert getattr(made, "non_cached_tokens", None) == getattr(decider, "non_cached_tokens", None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- {type: partner, parameters: {partner: z}}", '"z" is no Partner'),
        (
            "- {type: partner, parameters: {partner: q}}\n- {type: queue-scorer, name: q}",
            '"q" is no Partner',
        ),
        ("- {type: partner, parameters: {partner: partner}}", "needs itself: partner -> partner"),
        ("- {type: partner, parameters: {partner: nobody}}", "setup raised KeyError: 'nobody'"),
    ],
)
def test_a_plugin_that_cannot_be_set_up_is_a_fault_of_the_file(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        policy_of(f"plugins:\n{text}\n")
    assert str(refusal.value) == f"picker.yaml:4: plugins[0].parameters: {fault}"


# The next configuration ----------------------------------------------------------------------------------

TWO = "plugins:\n- {type: prefix-cache-scorer}\n- {type: queue-scorer}\n"


def test_plugins_that_did_not_change_stay() -> None:
    before = policy_of(TWO)
    after = policy_of(
        "plugins:\n- {type: queue-scorer}\n- {type: random-picker}\n- {type: prefix-cache-scorer}\n"
        "schedulingProfiles:\n- {name: other, plugins: [{pluginRef: prefix-cache-scorer, weight: 5}]}\n",
        previous=before,
    )
    for name in ("prefix-cache-scorer", "queue-scorer", "approx-prefix-cache-producer"):
        assert plugin(after, name) is plugin(before, name)
    assert repr(after.scheduler.profiles["other"]) == "<Profile other: prefix-cache-scorer*5>"
    assert plugin(policy_of(TWO, previous=after), "prefix-cache-scorer") is plugin(
        before, "prefix-cache-scorer"
    )


def test_plugins_with_other_parameters_are_new_and_so_is_who_uses_them() -> None:
    before = policy_of(TWO)
    after = policy_of(
        "plugins:\n- {type: prefix-cache-scorer}\n- {type: queue-scorer}\n"
        "- {type: approx-prefix-cache-producer, parameters: {lruCapacityPerServer: 5}}\n",
        previous=before,
    )
    assert plugin(after, "approx-prefix-cache-producer") is not plugin(before, "approx-prefix-cache-producer")
    assert plugin(after, "prefix-cache-scorer") is not plugin(before, "prefix-cache-scorer")
    assert plugin(after, "queue-scorer") is plugin(before, "queue-scorer")


def test_a_listed_producer_takes_over_from_the_unlisted_one_like_it() -> None:
    before = policy_of("plugins:\n- {type: no-hit-lru-scorer}\n")
    after = policy_of(
        "plugins:\n- {type: no-hit-lru-scorer}\n"
        "- {type: approx-prefix-cache-producer, parameters: {autoTune: true}}\n",
        previous=before,
    )
    assert plugin(after, "approx-prefix-cache-producer") is plugin(before, "approx-prefix-cache-producer")


def test_a_name_that_means_another_type_is_another_plugin() -> None:
    before = policy_of("plugins:\n- {type: partner, name: a}\n")
    after = policy_of("plugins:\n- {type: counter, name: a}\n", previous=before)
    assert isinstance(plugin(after, "a"), Counter)


def test_who_asked_for_the_profiles_is_new_if_they_change() -> None:
    before = policy_of("plugins:\n- type: counter\n")
    same = policy_of("plugins:\n- type: counter\n- type: queue-scorer\n", previous=before)
    assert plugin(same, "counter") is plugin(before, "counter")
    after = policy_of("plugins:\n- type: counter\nschedulingProfiles:\n- name: x\n", previous=before)
    assert plugin(after, "counter") is not plugin(before, "counter")


def test_a_configuration_that_cannot_be_built_leaves_the_previous_as_it_was() -> None:
    before = policy_of(TWO)
    with pytest.raises(ConfigError):
        policy_of(TWO + "- {type: partner, parameters: {partner: z}}\n", previous=before)
    after = policy_of(TWO, previous=before)
    assert [each.plugin for each in after.made] == [each.plugin for each in before.made]
