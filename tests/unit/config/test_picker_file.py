from epp.config.fields import fields_of
from epp.config.picker_file import FEATURE_GATES, UNLISTED, PickerFile
from epp.config.schema import check_kind
from epp.plugins.registry import OWN_TYPES


def test_every_field_can_be_read() -> None:
    check_kind(PickerFile)


def test_the_fields_are_those_of_both_references() -> None:
    assert [field.key for field in fields_of(PickerFile)] == [
        "apiVersion",
        "kind",
        "featureGates",
        "plugins",
        "schedulingProfiles",
        "saturationDetector",
        "dataLayer",
        "flowControl",
        "parser",
        "requestHandler",
    ]


def test_what_exists_unlisted_is_of_its_kind() -> None:
    assert {kind for kind, name in UNLISTED.items() if kind in OWN_TYPES.types[name].kinds} == UNLISTED.keys()


def test_the_gates_are_the_references() -> None:
    assert FEATURE_GATES == ("dataLayer", "enableLegacyMetrics", "flowControl")
