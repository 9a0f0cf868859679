"""What a configuration comes to, as a file: `epp config show`."""

import pytest
import yaml

from epp.config.effective import effective_config, effective_text
from epp.config.picker import load_picker_config
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.default import DEFAULT_TEXT

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"

FULL = (
    HEAD
    + """\
featureGates: [flowControl, dataLayer=false]
plugins:
- {type: prefix-cache-scorer, name: prefix, parameters: {blockSizeTokens: 64}}
- {type: by-label, parameters: {label: zone, validValues: ["1", b], allowsNoLabel: true}}
- {type: utilization-detector, parameters: {metricsStalenessThreshold: 1m30s}}
- {type: header-profile-handler, parameters: {defaultProfile: a}}
- {type: edf-ordering-policy}
- {type: queue-scorer, name: "0E0"}
schedulingProfiles:
- {name: a, plugins: [{pluginRef: prefix, weight: 0.5}, {pluginRef: by-label}]}
- {name: b}
flowControl:
  maxBytes: 1Gi
  defaultRequestTTL: 30s
  saturationDetector: {}
  priorityBands: [{priority: 1, maxRequests: 10, orderingPolicyRef: edf-ordering-policy}]
"""
)


@pytest.mark.parametrize("text", [HEAD, FULL, DEFAULT_TEXT], ids=["empty", "full", "default"])
def test_it_loads_again_to_the_same(text: str) -> None:
    config = load_picker_config(text, "f", OWN_TYPES)
    shown = effective_text(config)
    again = load_picker_config(shown, "f", OWN_TYPES)
    assert again == config
    assert effective_text(again) == shown
    assert again.warnings == ()


def test_it_has_every_default() -> None:
    shown = effective_config(load_picker_config(FULL, "f", OWN_TYPES))
    plugins = {plugin["name"]: plugin.get("parameters") for plugin in shown["plugins"]}
    assert plugins["prefix"]["blockSizeTokens"] == 64
    assert plugins["prefix"]["lruCapacityPerServer"] == 31250
    assert plugins["utilization-detector"]["metricsStalenessThreshold"] == "1m30s"
    assert plugins["max-score-picker"] == {"maxNumOfEndpoints": 1}
    assert shown["schedulingProfiles"] == [
        {
            "name": "a",
            "plugins": [
                {"pluginRef": "prefix", "weight": 0.5},
                {"pluginRef": "by-label"},
                {"pluginRef": "max-score-picker"},
            ],
        },
        {"name": "b", "plugins": [{"pluginRef": "max-score-picker"}]},
    ]
    assert shown["featureGates"] == ["flowControl=true", "dataLayer=false"]
    assert shown["flowControl"]["priorityBands"] == [
        {
            "priority": 1,
            "maxRequests": "10",
            "fairnessPolicyRef": "global-strict-fairness-policy",
            "orderingPolicyRef": "edf-ordering-policy",
        }
    ]


def test_it_is_yaml_that_people_can_read() -> None:
    text = effective_text(load_picker_config(DEFAULT_TEXT, "f", OWN_TYPES))
    assert text.startswith("apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n")
    assert "    weight: 1\n" in text
    assert "&" not in text  # no aliases, which the reading refuses
    assert yaml.safe_load(text)["kind"] == "EndpointPickerConfig"
