import pytest

from epp.config.constraints import Constraint, Doc, Key, Length, Pattern, Positive, Range, Unique, quote

DIGITS = Pattern(r"[0-9]+", "digits")


@pytest.mark.parametrize(
    ("constraint", "value"),
    [
        (Range(1, 3), 1),
        (Range(1, 3), 3),
        (Positive(), 0.1),
        (Length(1, 3), "abc"),
        (Length(0, 1), ()),
        (Length(1, 1), {"a": 1}),
        (Unique(), (1, 2, 3)),
        (Unique(), ()),
        (DIGITS, "0815"),
        (Doc("a number"), None),
        (Key("maxTTL"), None),
    ],
)
def test_is_content(constraint: Constraint, value: object) -> None:
    assert constraint.objection(value) is None


@pytest.mark.parametrize(
    ("constraint", "value", "objection"),
    [
        (Range(1, 3), 0, "has to be from 1 to 3, not 0"),
        (Range(1, 3), 4, "has to be from 1 to 3, not 4"),
        (Range(0, 0.5), 0.6, "has to be from 0 to 0.5, not 0.6"),
        (Positive(), 0, "has to be more than 0, not 0"),
        (Positive(), -0.5, "has to be more than 0, not -0.5"),
        (Length(1, 3), "", "has to have 1 to 3 characters, not 0"),
        (Length(0, 1), (1, 2), "has to have 0 to 1 items, not 2"),
        (Length(1, 1), {}, "has to have 1 to 1 items, not 0"),
        (Unique(), (1, 2, 1), "has 1 more than once"),
        (DIGITS, "08x", 'has to be digits, not "08x"'),
        (DIGITS, "08\n", 'has to be digits, not "08\n"'),
    ],
)
def test_objects(constraint: Constraint, value: object, objection: str) -> None:
    assert constraint.objection(value) == objection


def test_long_texts_are_cut_in_messages() -> None:
    assert quote("x" * 60) == '"' + "x" * 60 + '"'
    assert quote("x" * 61) == '"' + "x" * 60 + '..."'
