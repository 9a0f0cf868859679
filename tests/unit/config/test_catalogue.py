from dataclasses import dataclass
from typing import Annotated

import pytest

from epp.config.catalogue import Catalogue, PluginType
from epp.config.constraints import Range
from epp.config.document import Faults, parse_document


@dataclass
class Near:
    """Prefers the near."""

    threshold: Annotated[float, Range(0, 1)] = 0.5
    max_hops: int = 3

    def __post_init__(self) -> None:
        if self.max_hops == 13:
            raise ValueError("maxHops: 13 brings bad luck")
        if self.max_hops == 0:
            1 / 0  # noqa: B018


NEAR = PluginType("near-scorer", Near, frozenset({"scorer", "filter"}), {"hops": "hops were counted in v0"})


def read(text: str) -> tuple[dict[str, object], list[str], list[str]]:
    faults = Faults("f.yaml")
    root = parse_document(text, faults)
    assert root is not None
    values = NEAR.read(root, faults, "p")
    return values, [str(each) for each in faults.found], [str(each) for each in faults.warnings]


def test_a_type_says_what_it_is() -> None:
    assert NEAR.meaning == "Prefers the near."
    assert NEAR.kind_words == "filter, scorer"
    assert [field.key for field in NEAR.fields] == ["threshold", "maxHops"]


def test_parameters_are_read_with_their_faults() -> None:
    assert read("{threshold: 0.25}") == ({"threshold": 0.25}, [], [])
    assert read("threshold: 2\nmaxHops: x\n")[1] == [
        "f.yaml:1: p.threshold: has to be from 0 to 1, not 2.0",
        'f.yaml:2: p.maxHops: has to be a whole number, not "x"',
    ]


def test_unknown_parameters_are_passed_over_unless_they_are_mistyped() -> None:
    values, faults, warnings = read("tresholds: 1\nmaxHopps: 2\nMax_Hops: 2\nmaxHopCount: 2\nhops: 4\n")
    assert values == {}
    assert faults == [
        'f.yaml:1: p.tresholds: is no field; did you mean "threshold"?',
        'f.yaml:2: p.maxHopps: is no field; did you mean "maxHops"?',
        'f.yaml:3: p.Max_Hops: is no field; did you mean "maxHops"?',
    ]
    assert warnings == [
        "f.yaml:5: p.hops: is passed over: hops were counted in v0",
        'f.yaml:4: p.maxHopCount: is not known here and is passed over; did you mean "maxHops"?',
    ]


def test_what_the_class_raises_is_said_as_one_kind_of_error() -> None:
    assert NEAR.make({"max_hops": 2}) == Near(max_hops=2)
    with pytest.raises(ValueError, match=r"^maxHops: 13 brings bad luck$"):
        NEAR.make({"max_hops": 13})
    with pytest.raises(ValueError, match=r"^Near raised ZeroDivisionError: division by zero$"):
        NEAR.make({"max_hops": 0})


def test_arguments_are_completed_with_the_defaults() -> None:
    assert NEAR.complete({"max_hops": 2}) == {"threshold": 0.5, "max_hops": 2}


def test_types_are_found_by_name_and_by_class() -> None:
    catalogue = Catalogue([NEAR], {"far-scorer": "is gone"})
    assert catalogue.named("near-scorer") is NEAR
    assert catalogue.named("far-scorer") is None
    assert catalogue.of_class(Near) is NEAR
    assert catalogue.of_class(int) is None
    assert catalogue.objection("far-scorer") == '"far-scorer" is gone'
    assert catalogue.objection("neer-scorer") == (
        '"neer-scorer" is no plugin type; did you mean "near-scorer"?'
    )
    assert repr(catalogue) == "<Catalogue types=1 unsupported=1>"
