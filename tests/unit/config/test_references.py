from epp.config.document import Faults, parse_document
from epp.config.references import refuse_repeated, refuse_undefined, texts_under
from epp.config.schema import Place


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


def test_a_reference_needs_something_to_refer_to() -> None:
    faults = Faults("f.yaml")
    refuse_undefined(
        [("queue", Place(1, "x")), ("queu", Place(2, "y")), ("zz", Place(3, "z"))], {"queue"}, faults
    )
    assert [str(fault) for fault in faults.found] == [
        'f.yaml:2: y: refers to "queu", which is not defined; did you mean "queue"?',
        'f.yaml:3: z: refers to "zz", which is not defined',
    ]


def test_references_are_found_however_deep() -> None:
    root = parse_document(
        "- ref: a\n- b:\n  - {ref: c, other: d}\n  - ref: 5\n- ref:\n    ref: e\n", Faults("f.yaml")
    )
    assert root is not None
    assert list(texts_under("ref", root, "x")) == [
        ("a", Place(1, "x[0].ref")),
        ("c", Place(3, "x[1].b[0].ref")),
        ("e", Place(6, "x[2].ref.ref")),
    ]
