import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from epp.config.document import (
    MAX_BYTES,
    MAX_DEPTH,
    Faults,
    ListNode,
    MapNode,
    ScalarNode,
    child_path,
    item_path,
    parse_document,
    plain,
    read_text,
)
from epp.errors import ConfigError


def parse(text: str) -> tuple[Any, list[str]]:
    faults = Faults("f.yaml")
    root = parse_document(text, faults)
    return (plain(root) if root else None), [str(fault) for fault in faults.found]


def test_every_node_knows_its_line() -> None:
    faults = Faults("f.yaml")
    root = parse_document("# pool\na:\n  b: [1,\n    {c: x}]\nd:\n  text\n", faults)
    assert root == MapNode(
        line=2,
        entries={
            "a": MapNode(
                line=3,
                entries={
                    "b": ListNode(
                        line=3,
                        items=(
                            ScalarNode(3, 1),
                            MapNode(line=4, entries={"c": ScalarNode(4, "x")}, key_lines={"c": 4}),
                        ),
                    )
                },
                key_lines={"b": 3},
            ),
            "d": ScalarNode(6, "text"),
        },
        key_lines={"a": 2, "d": 5},
    )
    assert faults.found == []


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("null", None),
        ("~", None),
        ("", None),
        ("''", ""),
        ("8000", 8000),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1.2.3", "1.2.3"),
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ('"8000"', "8000"),
        ("'true'", "true"),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("<<", "<<"),
    ],
)
def test_scalars_are_jsons_and_else_text(written: str, value: object) -> None:
    found, faults = parse(f"key: {written}")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)
    assert faults == []


def test_keys_are_the_text_that_is_written() -> None:
    assert parse("on: 1\n8000: 2\n'x': 3\n") == ({"on": 1, "8000": 2, "x": 3}, [])


def test_json_with_tabs_is_read() -> None:
    assert parse('{\n\t"a":1,\n\t"b":[true,null,"x"]\n}\n') == ({"a": 1, "b": [True, None, "x"]}, [])


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["f.yaml: is empty"]),
        ("# only a comment\n", ["f.yaml: is empty"]),
        (
            "a: 1\nb:\n  a: 1\n  a: 2\na: 3\n",
            [
                "f.yaml:4: b.a: stands here again, after line 3",
                "f.yaml:5: a: stands here again, after line 1",
            ],
        ),
        ("a: &x 1\nb: [*x]\n", ["f.yaml:2: b[0]: *x is an alias, which is not taken; write the value out"]),
        (
            "a: !!python/object:os.system {}\n",
            ["f.yaml:1: a: tag:yaml.org,2002:python/object:os.system is a tag, which is not taken"],
        ),
        ("a: !own [1]\n", ["f.yaml:1: a: !own is a tag, which is not taken"]),
        ("? [a, b]\n: 1\n", ["f.yaml:1: a key has to be text"]),
        ("a: 1\n---\nb: 2\n", ["f.yaml:2: a second document begins here; only one may stand in a file"]),
        ("a: 1\n b: 2\n", ["f.yaml:2: mapping values are not allowed in this context"]),
        ("a: [1,\n2\n", ["f.yaml:3: did not find expected ',' or ']'"]),
        ("a: 1\nb: \x07\n", ["f.yaml:2: control characters are not allowed"]),
        ("\n" + "[" * 100, [f"f.yaml:2: is nested more than {MAX_DEPTH} deep"]),
        ("x" * (MAX_BYTES + 1), [f"f.yaml: is larger than {MAX_BYTES} bytes"]),
    ],
)
def test_says_what_is_wrong_and_where(text: str, faults: list[str]) -> None:
    assert parse(text)[1] == faults


def test_the_first_of_two_equal_keys_counts() -> None:
    assert parse("a: 1\na: 2\n")[0] == {"a": 1}


def test_a_short_text_cannot_stand_for_a_huge_tree() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    found, faults = parse("\n".join(lines))
    assert len(faults) == 9 * 11
    assert found["a11"] == [None] * 9


def test_faults_are_raised_together_in_the_order_of_their_lines() -> None:
    faults = Faults("f.yaml")
    faults.raise_any()
    faults.add(7, "b", "is wrong")
    faults.add(2, "a", "is wrong too")
    assert repr(faults) == "<Faults f.yaml found=2>"
    with pytest.raises(ConfigError) as caught:
        faults.raise_any()
    assert str(caught.value) == "f.yaml:2: a: is wrong too\nf.yaml:7: b: is wrong"


def test_paths() -> None:
    assert child_path("", "pool") == "pool"
    assert child_path(item_path("endpoints", 2), "port") == "endpoints[2].port"
    assert child_path("labels", "example.com/zone") == 'labels["example.com/zone"]'


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_bytes("caf\u00e9".encode())
    assert read_text(path, "pool.yaml") == "caf\u00e9"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"a: 1\nb: \xff\n", "pool.yaml:2: is not UTF-8 text"),
        (b"x" * (MAX_BYTES + 1), f"pool.yaml: is larger than {MAX_BYTES} bytes"),
    ],
)
def test_refuses_a_file_that_is_no_text(tmp_path: Path, data: bytes, fault: str) -> None:
    path = tmp_path / "pool.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_text(path, "pool.yaml")
    assert str(caught.value) == fault


def test_says_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path / "none", "pool.yaml")
    assert str(caught.value) == "pool.yaml: cannot be read: No such file or directory"
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path, "pool.yaml")
    assert str(caught.value) == "pool.yaml: cannot be read: Is a directory"


# What both JSON and YAML can say: no surrogates, and none of the control characters that YAML refuses.
TEXTS = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc", "Cn"]))
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(TREES)
def test_any_json_reads_as_json_reads_it(tree: object) -> None:
    assert parse(json.dumps({"tree": tree}, ensure_ascii=False)) == ({"tree": tree}, [])


@given(TREES)
def test_what_yaml_writes_reads_the_same(tree: object) -> None:
    assert parse(yaml.dump({"tree": tree}, Dumper=_WithoutAliases, allow_unicode=True)) == (
        {"tree": tree},
        [],
    )


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@given(st.text())
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    faults = Faults("f.yaml")
    assert parse_document(text, faults) is not None or faults.found


def test_warnings_and_tolerance() -> None:
    faults = Faults("f.yaml")
    faults.warn(2, "a.b", "is odd")
    faults.raise_any()
    assert [str(each) for each in faults.warnings] == ["f.yaml:2: a.b: is odd"]
    assert not faults.tolerant
    with faults.tolerating():
        assert faults.tolerant
        with faults.tolerating():
            pass
        assert faults.tolerant
    assert not faults.tolerant
