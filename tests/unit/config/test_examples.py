"""Files in the shapes of the reference's and llm-d's published configurations load as they are."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from epp.config.effective import effective_text
from epp.config.picker import load_picker_config
from epp.config.picker_schema import picker_schema
from epp.datastore.store import Datastore
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.build import build_policy

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.yaml"))
SCHEMA = Draft202012Validator(picker_schema(OWN_TYPES))

# What the picker says of them; nothing of the others.
WARNINGS = {
    "pd-decider": ["5: featureGates[0]: prepareDataPlugins is a gate of earlier versions, and passed over"],
    "pd-old": [
        "12: plugins[4].parameters.hashBlockSize: is not known here and is passed over",
        "13: plugins[4].parameters.lruCapacityPerServer: is not known here and is passed over",
        "17: plugins[5].parameters.hashBlockSize: is passed over: the prefix cache's producer has the blocks",
    ],
    "tiered-prefix": [
        "20: plugins[6].parameters.requestTimeout: is passed over: a request is in flight until it ends, "
        "however it ends",
        "32: flowControl: is not used without the feature gate flowControl",
    ],
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_loads_unchanged(example: Path) -> None:
    config = load_picker_config(example.read_text(), "f", OWN_TYPES)
    warnings = [str(warning).removeprefix("f:") for warning in config.warnings]
    assert warnings == WARNINGS.get(example.stem, [])
    policy = build_policy(config, Datastore(), staleness=2.0)
    assert list(policy.scheduler.profiles) == [profile.name for profile in config.profiles]
    shown = effective_text(policy.in_force)
    again = build_policy(load_picker_config(shown, "f", OWN_TYPES), Datastore(), staleness=2.0)
    assert effective_text(again.in_force) == shown


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_editors_find_no_fault_but_with_what_is_passed_over(example: Path) -> None:
    errors = [error.message for error in SCHEMA.iter_errors(yaml.safe_load(example.read_text()))]
    assert all("hashBlockSize" in message for message in errors)
    assert len(errors) == (1 if example.stem == "pd-old" else 0)
