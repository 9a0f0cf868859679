from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.config.constraints import Length, Range
from epp.config.document import Faults, ScalarNode, parse_document
from epp.config.durations import Seconds
from epp.config.quantities import Quantity
from epp.config.schema import INVALID, Place, Raw, check_kind, read, read_fields

ONE_SECOND = Seconds(1)


@dataclass(frozen=True, slots=True)
class Wheel:
    place: Place
    size: Annotated[int, Range(10, 30)]
    hub_kind: Literal["steel", "wood"] = "steel"


@dataclass(frozen=True, slots=True)
class Cart:
    name: str
    wheels: Annotated[tuple[Wheel, ...], Length(1, 4)]
    labels: Mapping[str, str] = field(default_factory=dict)
    weight: float | None = None
    pause: Seconds = ONE_SECOND
    braked: bool = False
    spare: Wheel | None = None
    extra: Any = None


def load(kind: Any, text: str) -> tuple[Any, list[str]]:
    faults = Faults("cart.yaml")
    root = parse_document(text, faults)
    assert root is not None
    return read(kind, root, faults), [str(fault) for fault in faults.found]


def test_reads_what_the_annotations_say() -> None:
    text = """\
name: hay
wheels:
- size: 20
- {size: 30, hubKind: wood}
labels: {a: x}
weight: 7
pause: 1m
braked: true
spare: {size: 10}
extra: [1, {b: null}]
"""
    assert load(Cart, text) == (
        Cart(
            name="hay",
            wheels=(Wheel(Place(3, "wheels[0]"), 20), Wheel(Place(4, "wheels[1]"), 30, "wood")),
            labels={"a": "x"},
            weight=7.0,
            pause=Seconds(60.0),
            braked=True,
            spare=Wheel(Place(9, "spare"), 10),
            extra=[1, {"b": None}],
        ),
        [],
    )


def test_absent_and_null_are_the_default() -> None:
    wheel = Wheel(Place(1, "wheels[0]"), 20)
    assert load(Cart, "{name: x, wheels: [{size: 20}]}") == (Cart("x", (wheel,)), [])
    assert load(Cart, "{name: x, wheels: [{size: 20, hubKind: null}], labels: null, spare: ~}") == (
        Cart("x", (wheel,)),
        [],
    )


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        (str, "1.10", "has to be text, not 1.1; put it in quotes"),
        (str, "true", "has to be text, not true; put it in quotes"),
        (str, "[a]", "has to be text, not a list"),
        (str, "~", "has to be text, not nothing"),
        (int, "'1'", 'has to be a whole number, not "1"'),
        (int, "1.0", "has to be a whole number, not 1.0"),
        (int, "true", "has to be a whole number, not true"),
        (int, "9" * 50, "has to be a whole number, not 1e+50"),
        (float, "true", "has to be a number, not true"),
        (float, "1e999", "has to be a number, not inf"),
        (float, ".nan", 'has to be a number, not ".nan"'),
        (bool, "yes", 'has to be true or false, not "yes"'),
        (bool, "1", "has to be true or false, not 1"),
        (Seconds, "5", "has to be text, not 5; put it in quotes"),
        (Seconds, "'5'", '"5" is no duration; write a number and a unit, as in 50ms, 2s, 1m30s'),
        (Quantity, "[1]", "has to be a quantity, as in 512Mi or 1000, not a list"),
        (Quantity, "true", "has to be a quantity, as in 512Mi or 1000, not true"),
        (Quantity, "-1", '"-1" is out of range; 0 to 2^63-1'),
        (list[int], "1", "has to be a list, not 1"),
        (Literal["a", "b"], "1", "has to be one of a, b, not 1"),
        (Literal["steel", "wood"], "Wod", 'has to be one of steel, wood, not "Wod"; did you mean "wood"?'),
        (Literal["a", "b"], "{}", "has to be one of a, b, not a map"),
        (Literal["steel"], "steal", 'has to be steel, not "steal"'),
        (int | None, "x", 'has to be a whole number, not "x"'),
        (Mapping[str, int], "[1]", "has to be a map, not a list"),
        (Wheel, "7", "has to be a map, not 7"),
        (Annotated[int, Range(1, 2)], "3", "has to be from 1 to 2, not 3"),
        (Annotated[int, Range(1, 2)], "x", 'has to be a whole number, not "x"'),
    ],
)
def test_nothing_is_coerced(kind: Any, text: str, fault: str) -> None:
    value, faults = load(kind, text)
    assert value is INVALID
    assert faults == [f"cart.yaml:1: {fault}"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (list[int], "[1, 2]", [1, 2]),
        (Sequence[str], "[a]", ("a",)),
        (dict[str, float], "{a: 1}", {"a": 1.0}),
        (Quantity, "1Gi", 2**30),
        (Quantity, "1000", 1000),
        (Quantity, "1.5", 2),
        (Raw, "x", ScalarNode(1, "x")),
    ],
)
def test_reads_what_other_annotations_say(kind: Any, text: str, value: Any) -> None:
    assert load(kind, text) == (value, [])


@pytest.mark.parametrize("kind", [Cart, int | None, dict[str, list[Seconds]], tuple[Cart, ...], Raw, Any])
def test_kinds_that_documents_hold(kind: Any) -> None:
    check_kind(kind)


class Engine:
    pass


@pytest.mark.parametrize(
    "kind", [bytes, Engine, int | str, tuple[int, str], dict[int, str], set[int], Literal[1], list[Engine]]
)
def test_kinds_that_no_document_holds(kind: Any) -> None:
    with pytest.raises(TypeError, match="a document cannot hold a"):
        check_kind(kind)


def test_every_fault_is_said_with_its_line_and_path() -> None:
    text = """\
nam: hay
wheels:
- size: 9
- size: 20
  hub_kind: wood
- {}
- 5
labels:
  a: 1
  b.c/d: 2
weight: heavy
pause: soon
spare:
  size: 99
"""
    value, faults = load(Cart, text)
    assert value is INVALID
    assert sorted(faults, key=lambda fault: int(fault.split(":")[1])) == [
        "cart.yaml:1: name: is missing",
        'cart.yaml:1: nam: is no field; did you mean "name"?',
        "cart.yaml:3: wheels[0].size: has to be from 10 to 30, not 9",
        'cart.yaml:5: wheels[1].hub_kind: is no field; did you mean "hubKind"?',
        "cart.yaml:6: wheels[2].size: is missing",
        "cart.yaml:7: wheels[3]: has to be a map, not 5",
        "cart.yaml:9: labels.a: has to be text, not 1; put it in quotes",
        'cart.yaml:10: labels["b.c/d"]: has to be text, not 2; put it in quotes',
        'cart.yaml:11: weight: has to be a number, not "heavy"',
        'cart.yaml:12: pause: "soon" is no duration; write a number and a unit, as in 50ms, 2s, 1m30s',
        "cart.yaml:14: spare.size: has to be from 10 to 30, not 99",
    ]


def test_what_could_be_read_is_there_for_further_checks() -> None:
    faults = Faults("cart.yaml")
    root = parse_document("{wheels: [{size: 20}, {size: x}], weight: y, labels: {a: b, c: 1}}", faults)
    assert root is not None
    assert read_fields(Cart, root, faults) == {
        "wheels": (Wheel(Place(1, "wheels[0]"), 20),),
        "labels": {"a": "b"},
    }
    assert len(faults.found) == 4  # no name, a size, the weight, a label


def test_a_list_with_a_fault_has_no_second_one_for_its_length() -> None:
    assert load(Cart, "{name: x, wheels: [{size: x}]}")[1] == [
        'cart.yaml:1: wheels[0].size: has to be a whole number, not "x"'
    ]
    assert load(Cart, "{name: x, wheels: []}")[1] == ["cart.yaml:1: wheels: has to have 1 to 4 items, not 0"]


def test_place_is_no_field_of_the_document() -> None:
    assert load(Wheel, "{size: 20, place: 1}")[1] == ["cart.yaml:1: place: is no field"]


def test_a_type_that_no_document_holds_is_the_programmers_fault() -> None:
    with pytest.raises(TypeError, match="a document cannot hold a"):
        load(bytes, "x")


SCALARS = st.sampled_from(["x", "1", "2.5", "true", "~", "''", "[]", "{}", "[1]", "{a: b}", "5s"])


@given(
    st.dictionaries(
        st.sampled_from(["name", "wheels", "labels", "weight", "pause", "braked", "spare", "z"]), SCALARS
    )
)
def test_any_document_is_read_whole_or_has_faults(entries: dict[str, str]) -> None:
    value, faults = load(Cart, "{" + ", ".join(f"{key}: {text}" for key, text in entries.items()) + "}")
    assert isinstance(value, Cart) or faults
