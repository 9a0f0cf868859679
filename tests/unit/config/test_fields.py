from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from epp.config.constraints import Doc, Key, Range
from epp.config.fields import Place, camel_case, fields_of, place_field, summary


@dataclass
class Scorer:
    """Prefers the near.

    And more."""

    scale_metres: Annotated[float, Range(1, 9), Doc("distance of score 0")]
    place: Place = field(default_factory=Place)
    max_ttl: Annotated[int, Key("maxTTL")] = 5
    labels: Mapping[str, str] = field(default_factory=dict)
    _state: int = field(init=False, default=0)


class Plain:
    def __init__(self, near: int, *, far: "float | None" = None) -> None:
        self.near, self.far = near, far


def test_a_dataclass_takes_what_its_init_takes() -> None:
    scale, ttl, labels = fields_of(Scorer)
    assert (scale.name, scale.key, scale.required, scale.meaning) == (
        "scale_metres",
        "scaleMetres",
        True,
        "distance of score 0",
    )
    assert (ttl.name, ttl.key, ttl.default) == ("max_ttl", "maxTTL", 5)
    assert (labels.key, labels.required, labels.default, labels.meaning) == ("labels", False, {}, "")
    assert place_field(Scorer) == "place"


def test_any_class_takes_its_annotated_arguments() -> None:
    near, far = fields_of(Plain)
    assert (near.key, near.kind, near.required) == ("near", int, True)
    assert (far.key, far.kind, far.default) == ("far", float | None, None)
    assert place_field(Plain) is None


def test_a_class_without_init_takes_nothing() -> None:
    class Nothing:
        pass

    assert fields_of(Nothing) == ()


class Bare:
    def __init__(self, x) -> None:  # type: ignore[no-untyped-def]
        pass


class Open:
    def __init__(self, **others: int) -> None:
        pass


class Broken:
    def __init__(self, x: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
        pass


@pytest.mark.parametrize(
    ("cls", "fault"),
    [
        (Bare, 'the argument "x" has no annotation'),
        (Open, r"\*\*others: int cannot be given by a configuration"),
        (Broken, "an annotation cannot be understood: name 'Nowhere' is not defined"),
    ],
)
def test_what_cannot_be_taken_is_the_authors_fault(cls: Any, fault: str) -> None:
    with pytest.raises(TypeError, match=fault):
        fields_of(cls)


def test_keys_are_in_camel_case() -> None:
    assert camel_case("queue") == "queue"
    assert camel_case("max_num_of_endpoints") == "maxNumOfEndpoints"


def test_a_class_says_in_a_line_what_it_is_for() -> None:
    assert summary(Scorer) == "Prefers the near."
    assert summary(Plain) == ""

    @dataclass
    class Unsaid:
        x: int = 0

    assert summary(Unsaid) == ""
