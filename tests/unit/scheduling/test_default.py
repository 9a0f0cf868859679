from epp.config.picker import load_picker_config
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.default import DEFAULT_CONFIG, DEFAULT_TEXT


def test_the_built_in_configuration_is_one_that_a_file_could_have() -> None:
    config = load_picker_config(DEFAULT_TEXT, "default.yaml", OWN_TYPES)
    assert (config.plugins, config.profiles) == (DEFAULT_CONFIG.plugins, DEFAULT_CONFIG.profiles)
    assert config.warnings == ()


def test_the_references_three_scorers_have_its_weights() -> None:
    weights = {ref.name: ref.weight for ref in DEFAULT_CONFIG.profiles[0].plugins}
    assert weights["queue-scorer"] == weights["kv-cache-utilization-scorer"] == 2.0
    assert weights["prefix-cache-scorer"] == 3.0
