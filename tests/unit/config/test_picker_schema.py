"""Editors are told what the reading takes: the schema of the picker's own types."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from epp.config.picker import load_picker_config
from epp.config.picker_schema import picker_schema
from epp.errors import ConfigError
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.default import DEFAULT_TEXT

SCHEMA = picker_schema(OWN_TYPES)
VALIDATOR = Draft202012Validator(SCHEMA)
ROOT = Path(__file__).parents[3]


def document(**more: Any) -> dict[str, Any]:
    return {"apiVersion": "llm-d.ai/v1alpha1", "kind": "EndpointPickerConfig", **more}


def test_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_shipped_one_is_this_one() -> None:
    shipped = ROOT / "deploy" / "epp-config.schema.json"
    assert json.loads(shipped.read_text()) == SCHEMA, "run `make generated`"


def test_every_type_is_known_with_its_parameters_and_what_they_mean() -> None:
    plugin = SCHEMA["properties"]["plugins"]["items"]
    assert plugin["properties"]["type"]["enum"] == sorted(OWN_TYPES.types)
    by_type = {each["if"]["properties"]["type"]["const"]: each["then"] for each in plugin["allOf"]}
    assert by_type.keys() == OWN_TYPES.types.keys()
    detector = by_type["utilization-detector"]["properties"]["parameters"]
    assert detector["properties"]["metricsStalenessThreshold"]["default"] == "200ms"
    assert all(each["description"] for each in detector["properties"].values())
    assert by_type["by-label"]["required"] == ["parameters"]


RIGHT = [
    yaml.safe_load(DEFAULT_TEXT),
    document(),
    document(plugins=None, parser=None, flowControl={}, featureGates=["dataLayer=true"]),
    document(plugins=[{"type": "queue-scorer", "parameters": None}]),
    document(plugins=[{"type": "by-label", "parameters": {"label": "a", "validValues": ["b"]}}]),
    document(plugins=[{"type": "token-load-scorer", "parameters": {"inFlightLoadProducerName": "x"}}]),
    document(flowControl={"maxBytes": "1Gi", "maxRequests": 5, "defaultRequestTTL": "1m30s"}),
]

WRONG = [
    {"kind": "EndpointPickerConfig"},
    document(schedulingProfile=[]),
    document(featureGates=["flowcontrol"]),
    document(featureGates=["flowControl=1"]),
    document(plugins=[{"type": "queue-scorre"}]),
    document(plugins=[{"name": "x"}]),
    document(plugins=[{"type": "by-label"}]),
    document(plugins=[{"type": "queue-scorer", "parameters": []}]),
    document(plugins=[{"type": "utilization-detector", "parameters": {"kvCacheUtilThreshold": 2}}]),
    document(plugins=[{"type": "utilization-detector", "parameters": {"queueDepthTreshold": 2}}]),
    document(plugins=[{"type": "utilization-detector", "parameters": {"metricsStalenessThreshold": "5"}}]),
    document(flowControl={"maxBytes": "lots"}),
    document(flowControl={"priorityBands": [{}]}),
    document(schedulingProfiles=[{"name": "x", "plugins": [{"pluginRef": "x", "weight": "2"}]}]),
]


@pytest.mark.parametrize("right", RIGHT, ids=json.dumps)
def test_what_is_right_is_right_for_both(right: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(right)
    load_picker_config(yaml.safe_dump(right), "f", OWN_TYPES)


@pytest.mark.parametrize("wrong", WRONG, ids=json.dumps)
def test_what_is_wrong_is_wrong_for_both(wrong: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(wrong)
    with pytest.raises(ConfigError):
        load_picker_config(yaml.safe_dump(wrong), "f", OWN_TYPES)
