import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from epp.config.constraints import Doc, Length, Pattern, Positive, Range, Unique
from epp.config.document import Faults, parse_document, plain
from epp.config.durations import Seconds
from epp.config.json_schema import object_of, schema_of
from epp.config.quantities import Quantity
from epp.config.schema import Raw, read

HALF = Seconds(0.5)


@dataclass(frozen=True)
class Part:
    """A part."""

    size: Annotated[int, Range(1, 9), Doc("how large")]
    mode: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Whole:
    name: Annotated[str, Length(1, 3)]
    parts: tuple[Part, ...] = ()
    labels: Mapping[str, Annotated[str, Pattern("[a-z]+", "letters")]] = field(default_factory=dict)
    share: Annotated[float, Positive(), Range(0, 1)] = 1.0
    pause: Seconds = HALF
    limit: Quantity | None = None
    ports: Annotated[list[int], Unique(), Length(0, 2)] = field(default_factory=list)
    on: bool = False
    part: Part | None = None
    extra: Any = None
    raw: Annotated[Raw | None, Doc("as it is")] = None


def test_says_what_the_annotations_say() -> None:
    assert object_of(Part) == {
        "type": "object",
        "description": "A part.",
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9, "description": "how large"},
            "mode": {"type": ["string", "null"], "enum": ["a", "b", None], "default": "a"},
        },
        "required": ["size"],
        "additionalProperties": False,
    }
    whole = schema_of(Whole)
    Draft202012Validator.check_schema(whole)
    properties = whole["properties"]
    assert properties["pause"]["default"] == "500ms"
    assert properties["share"] == {
        "type": ["number", "null"],
        "exclusiveMinimum": 0,
        "minimum": 0,
        "maximum": 1,
        "default": 1,
    }
    assert properties["ports"] == {
        "type": ["array", "null"],
        "items": {"type": "integer"},
        "uniqueItems": True,
        "minItems": 0,
        "maxItems": 2,
    }
    assert properties["raw"] == {"description": "as it is"}


VALUES = st.sampled_from(
    [
        *("x", "abcd", "", "a", "5s", "1Gi", "500m", "lots", "1m30s"),
        *(0, 1, 5, 10, -1, 0.5, 2.5, True, False, None, [], {}, [1, 1], [1, 2, 3], [80]),
        *({"size": 5}, {"size": 0}, {"size": 1, "mode": "c"}, [{"size": 2}, {"size": 3, "mode": None}]),
        *({"a": "b"}, {"a": 1}, {"a": "B"}, [{"siz": 2}]),
    ]
)
KEYS = st.sampled_from(
    ["name", "parts", "labels", "share", "pause", "limit", "ports", "on", "part", "extra", "raw", "nam"]
)
VALIDATOR = Draft202012Validator(schema_of(Whole))


@given(st.dictionaries(KEYS, VALUES, max_size=3), st.sampled_from(["abc", "abcd", 5]))
def test_allows_what_can_be_read_and_nothing_else(document: dict[str, Any], name: Any) -> None:
    document = {"name": name} | document

    faults = Faults("f")
    root = parse_document(json.dumps(document), faults)
    assert root is not None
    read(Whole, root, faults)
    assert VALIDATOR.is_valid(plain(root)) == (not faults.found), faults.found


@pytest.mark.parametrize("kind", [int, str, bool, float, Any, Seconds, Quantity])
def test_a_simple_schema_is_not_shared(kind: Any) -> None:
    schema_of(kind)["description"] = "changed"
    assert "description" not in schema_of(kind)
