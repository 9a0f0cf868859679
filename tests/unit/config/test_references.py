from dataclasses import dataclass
from typing import Annotated

from epp.config.document import Faults, parse_document
from epp.config.fields import Place
from epp.config.references import NamesType, Reference, RefersTo, references, refuse_repeated, text_of

SCORER = RefersTo(frozenset({"scorer"}))


@dataclass(frozen=True)
class Ref:
    plugin_ref: Annotated[str, SCORER]
    weight: float | None = None


@dataclass(frozen=True)
class Root:
    type: Annotated[str, NamesType()]
    refs: tuple[Ref, ...] = ()
    other: Annotated[str | None, RefersTo()] = None
    ref: Ref | None = None


def test_a_name_may_be_given_once() -> None:
    faults = Faults("f.yaml")
    words = [
        ("a", Place(1, "x[0]")),
        ("b", Place(2, "x[1]")),
        ("a", Place(3, "x[2]")),
        ("a", Place(4, "x[3]")),
    ]
    assert refuse_repeated("name", words, faults) == {"a": Place(1, "x[0]"), "b": Place(2, "x[1]")}
    assert [str(fault) for fault in faults.found] == [
        'f.yaml:3: x[2]: has the name "a", which is taken on line 1',
        'f.yaml:4: x[3]: has the name "a", which is taken on line 1',
    ]


def test_references_are_found_by_their_annotations_also_beside_faults() -> None:
    root = parse_document(
        "type: t\nrefs:\n- {pluginRef: a}\n- {pluginRef: b, weight: x}\n- {pluginRef: 5}\n- c\n"
        "other: d\nref: {pluginRef: e, nonsense: {pluginRef: f}}\n",
        Faults("f.yaml"),
    )
    assert root is not None
    assert list(references(Root, root)) == [
        Reference("t", NamesType(), Place(1, "type")),
        Reference("a", SCORER, Place(3, "refs[0].pluginRef")),
        Reference("b", SCORER, Place(4, "refs[1].pluginRef")),
        Reference("d", RefersTo(), Place(7, "other")),
        Reference("e", SCORER, Place(8, "ref.pluginRef")),
    ]


def test_text_is_text() -> None:
    root = parse_document("[a, 1, {}]", Faults("f.yaml"))
    assert [text_of(item) for item in (*root.items, None)] == ["a", None, None, None]  # type: ignore[union-attr]
