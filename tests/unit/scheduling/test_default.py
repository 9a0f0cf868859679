from epp.config.picker import load_picker_config
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.default import DEFAULT_CONFIG, DEFAULT_TEXT


def test_the_built_in_configuration_is_one_that_a_file_could_have() -> None:
    config = load_picker_config(DEFAULT_TEXT, "default.yaml", OWN_TYPES)
    assert (config.plugins, config.profiles) == (DEFAULT_CONFIG.plugins, DEFAULT_CONFIG.profiles)
    assert config.warnings == ()


def test_it_is_one_scorer_whose_unit_is_seconds() -> None:
    [profile] = DEFAULT_CONFIG.profiles
    assert next(ref.name for ref in profile.plugins) == "expected-ttft-scorer"
