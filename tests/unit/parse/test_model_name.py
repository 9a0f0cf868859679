"""The model's name: spliced into requests, written back into answers however they are cut."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.parse.model_name import ModelNameRestorer, replace_model
from epp.parse.request import model_span


@pytest.mark.parametrize("name", ["food-review-2", "a/b", 'quo"te\\', "größe", "\U0001f600", "", "\udc80"])
def test_only_the_model_changes(name: str) -> None:
    body = b'{ "prompt" : "caf\\u00e9 \xc3\xa9" , "model":\t"food-review", "seed": 12345678901234567890}'
    changed = replace_model(body, model_span(body), name)
    assert json.loads(changed)["model"] == name
    head, tail = body.split(b'"food-review"')
    assert changed.startswith(head)
    assert changed.endswith(tail)


def restore(target: str, incoming: str, *chunks: bytes) -> list[bytes]:
    """What goes on after each chunk, the last one ending the answer."""
    restorer = ModelNameRestorer(target, incoming)
    return [restorer.feed(chunk, end=number == len(chunks)) for number, chunk in enumerate(chunks, 1)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'{"model":"v2"}', b'{"model":"v1"}'),
        (b'{"model": "v2", "x": "v2"}', b'{"model": "v1", "x": "v2"}'),
        (b'{"model"\n\t:\r\n "v2"}', b'{"model"\n\t:\r\n "v1"}'),
        (
            b'data: {"model":"v2"}\n\ndata: {"model":"v2"}\n\n',
            b'data: {"model":"v1"}\n\ndata: {"model":"v1"}\n\n',
        ),
        (b'{"a":{"model":"v2"},"model":"v2"}', b'{"a":{"model":"v1"},"model":"v1"}'),
        (b'{"model":"v"}', b'{"model":"v"}'),
        (b'{"model":"v22"}', b'{"model":"v22"}'),
        (b'{"model":["v2"]}', b'{"model":["v2"]}'),
        (b'{"model":null}', b'{"model":null}'),
        (b'{"a model":"v2"}', b'{"a model":"v2"}'),
        (b'{"a\\"model":"v2"}', b'{"a\\"model":"v2"}'),
        (b'{"text":"{\\"model\\":\\"v2\\"}"}', b'{"text":"{\\"model\\":\\"v2\\"}"}'),
        (b'{"text":"model","v2":1}', b'{"text":"model","v2":1}'),
        (b'{"model":"v2', b'{"model":"v2'),
        (b"", b""),
    ],
)
def test_where_the_name_is_written_back(answer: bytes, expected: bytes) -> None:
    assert restore("v2", "v1", answer) == [expected]


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("name", ["größe-\U0001f600", 'quo"te\\back/slash', "tab\there"])
def test_names_that_are_escaped(name: str, ascii_only: bool) -> None:
    answer = json.dumps({"model": name}, ensure_ascii=ascii_only).encode()
    (restored,) = restore(name, name[::-1], answer)
    assert json.loads(restored) == {"model": name[::-1]}


def test_holds_back_only_what_may_be_the_name() -> None:
    #        comes in        goes on
    dialogue = [
        (b'{"mod', b'{"mod'),
        (b'el" ', b'el" '),
        (b" : ", b" : "),
        (b'"base-', b""),
        (b"v", b""),
        (b"3", b'"base-v3'),
        (b'", "model":"base-v2', b'", "model":'),
        (b'"', b'"base"'),
        (b"}", b"}"),
    ]
    restorer = ModelNameRestorer("base-v2", "base")
    assert [restorer.feed(data, end=False) for data, _ in dialogue] == [out for _, out in dialogue]


def test_nothing_is_held_at_the_end() -> None:
    assert restore("base-v2", "base", b'{"model":"base', b"-v") == [b'{"model":', b'"base-v']


fragments = st.lists(
    st.sampled_from(
        [
            b'"model"',
            b'"model":',
            b'"v\xc3\xbc"',
            b'"v\\u00fc"',
            b'"v',
            b"\\u00fc",
            b'"',
            b"\\",
            b":",
            b" ",
            b"\n",
            b"{",
        ]
    ),
    max_size=12,
).map(b"".join)


@given(fragments | st.binary(max_size=40), st.lists(st.integers(0, 60)))
def test_any_chunking_gives_the_same_bytes(answer: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    chunks = [answer[start:end] for start, end in pairwise(edges)]
    whole = restore("vü", "model", answer)
    assert b"".join(restore("vü", "model", *chunks)) == whole[0]
    assert b"".join(restore("vü", "model", *(answer[i : i + 1] for i in range(len(answer))), b"")) == whole[0]


@given(st.text(max_size=6), st.text(max_size=6), st.booleans(), st.lists(st.integers(0, 60)))
def test_json_stays_json(target: str, incoming: str, ascii_only: bool, cuts: list[int]) -> None:
    fields = {"id": "x", "model": target, "choices": [{"text": '"model":"' + target + '"'}]}
    answer = json.dumps(fields, ensure_ascii=ascii_only).encode()
    edges = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    chunks = [answer[start:end] for start, end in pairwise(edges)]
    restored = b"".join(restore(target, incoming, *chunks))
    assert json.loads(restored) == {**fields, "model": incoming}
