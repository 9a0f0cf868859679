from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from epp.scrape import exposition
from epp.scrape.exposition import Memory, Page, Selector, parse_selector

WAITING = Selector("vllm:num_requests_waiting")
VLLM_PAGE = (Path(__file__).parent / "pages" / "vllm_load.txt").read_bytes()


def value(page: bytes, selector: str = "x") -> float | None:
    return Page(page).value(parse_selector(selector))


# Lines ----------------------------------------------------------------------------------------------------


def test_reads_the_named_value_among_comments_and_longer_names() -> None:
    assert Page(VLLM_PAGE).value(WAITING) == 48.0


@pytest.mark.parametrize(
    "page",
    [
        b"x 5\n",
        b"x 5.0\n",
        b"x\t5\n",
        b"x   5  \n",
        b"x{} 5\n",
        b"x{}5\n",
        b"x {} 5\n",
        b'x{a="b"} 5\n',
        b'x{a="b",} 5\n',
        b'x{ a = "b" , c="d" } 5\n',
        b'x{a="}"} 5\n',
        b'x{a="x 6"} 5\n',
        b'x{a="\\""} 5\n',
        b'x{a="\\\\"} 5\n',
        b'x{a="\xff"} 5\n',
        b"x 5\r\n",
        b"# TYPE x gauge\r\nx 5\r\n",
        b"x +5e0\n",
        b"x 5 1700000000000\n",
        b"\nx 5\n",
        b"# HELP x x 6\nx 5\n",
        b'y{a="\\nx 6"} 7\nx 5\n',
        b"x_total 6\nx_by_reason 7\nx 5\n",
        b"my_x 6\nx 5\n",
        b"my x 6\nx 5\n",
        b"xx 6\nx 5\n",
        b"x NaN\nx 5\n",
        b"x garbage\nx 5\n",
    ],
)
def test_reads_five(page: bytes) -> None:
    assert value(page) == 5.0


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"x",
        b"x\n",
        b"x \n",
        b"x5\n",
        b"x 5",
        b"y 1\nx 4",
        b"x NaN\n",
        b"x +Inf\n",
        b"x -Inf\n",
        b"x 1e999\n",
        b"x five\n",
        b"x 0x5\n",
        b"x 1_0\n",
        b"x 5 now\n",
        b"x 5 6 7\n",
        b"x --5\n",
        b"x .\n",
        b'x{a="b" 5\n',
        b'x{a="b} 5\n',
        b'x{a="b\n"} 5\n',
        b"x{a=b} 5} 5\n",
        b"# x 5\n",
        b"#x 5\n",
        b"x_total 5\n",
        b"x_count 5\n",
        b"<html>x 5</html>\n",
        gzip.compress(b"x 5\n"),
    ],
)
def test_what_is_broken_is_missing(page: bytes) -> None:
    assert value(page) is None


def test_a_counter_goes_by_the_name_on_its_line() -> None:
    page = b"# TYPE x counter\nx_total 5\nx_created 1.7e9\n"
    assert value(page, "x_total") == 5.0
    assert value(page, "x") is None


def test_a_histogram_has_no_value_of_its_own() -> None:
    assert value(VLLM_PAGE, "vllm:time_to_first_token_seconds") is None


# Which sample ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (b'x{e="0"} 3\nx{e="1"} 4\n', 3.0),
        (b'x{e="0"} 3 100\nx{e="1"} 4 200\n', 4.0),
        (b'x{e="0"} 3 200\nx{e="1"} 4 100\n', 3.0),
        (b'x{e="0"} 3\nx{e="1"} 4 100\n', 4.0),
        (b'x{e="0"} 3 100\nx{e="1"} 4 100\n', 3.0),
        (b'x{e="0"} 3 -200\nx{e="1"} 4 -100\n', 4.0),
    ],
)
def test_the_latest_timestamp_wins_else_the_first(page: bytes, expected: float) -> None:
    assert value(page) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("x{type=waiting}", 6.0),
        ("x{type=running,rank=1}", 8.0),
        ("x{rank=1,type=running}", 8.0),
        ("x{type=none}", None),
        ("x{other=1}", None),
        ('x{other=""}', 6.0),
        ("x", 6.0),
    ],
)
def test_every_wanted_label_must_be_there(selector: str, expected: float | None) -> None:
    page = b'x{type="waiting",rank="0"} 6\nx{type="running",rank="0"} 7\nx{type="running",rank="1"} 8\n'
    assert value(page, selector) == expected


def test_names_are_found_in_any_order_and_again() -> None:
    page = Page(b'# z first\nz 1\ny 2\ny{a="b"} 3\nx 4\n')
    asked = ("x", "y", "z", "z", "w", "y{a=b}", "y", "x")
    assert [page.value(parse_selector(name)) for name in asked] == [4.0, 2.0, 1.0, 1.0, None, 3.0, 2.0, 4.0]


def test_a_name_at_the_very_start_is_found_after_others() -> None:
    page = Page(b"x 1\ny 2\n")
    assert [page.value(Selector(name)) for name in ("y", "x", "y", "x")] == [2.0, 1.0, 2.0, 1.0]


def test_labels_are_unescaped() -> None:
    (sample,) = Page(b'x{a="say \\"hi\\"",b="back\\\\slash\\nline",c=""} 1\n').samples(Selector("x"))
    assert sample.labels == {"a": 'say "hi"', "b": "back\\slash\nline", "c": ""}


def test_lines_too_long_to_be_remembered_are_read_all_the_same() -> None:
    names = ",".join(f"adapter-{number}" for number in range(1000))
    (sample,) = Page(f'x{{names="{names}"}} 1\n'.encode()).samples(Selector("x"))
    assert sample.labels == {"names": names}


def test_reading_stops_after_many_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "MAX_SAMPLES", 3)
    assert [sample.value for sample in Page(b"x 1\nx 2\nx 3\nx 4\n").samples(Selector("x"))] == [
        1.0,
        2.0,
        3.0,
    ]


def test_a_page_cut_off_anywhere_tells_the_truth_or_nothing() -> None:
    for end in range(len(VLLM_PAGE)):
        assert Page(VLLM_PAGE[:end]).value(WAITING) in (None, 48.0)


# Page after page ------------------------------------------------------------------------------------------


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """A page with groups of x, x_y and z of any length, in any order, among others of any length."""
    groups = []
    for name in draw(st.permutations(["x", "x_y", "z", "filler_a", "filler_b"])):
        lines = draw(st.integers(0, 60))
        comment = draw(st.sampled_from(["", f"# TYPE {name} gauge\n"]))
        groups.append(comment + "".join(f'{name}{{n="{number}"}} {number}\n' for number in range(lines)))
    return "".join(groups).encode()


@given(st.lists(pages(), min_size=2, max_size=4))
def test_where_names_stood_before_changes_nothing_of_what_is_read(series: list[bytes]) -> None:
    memory: Memory = {}
    for data in series:
        before, fresh = Page(data, memory), Page(data)
        for name in ("x", "x_y", "z"):
            assert before.samples(Selector(name)) == fresh.samples(Selector(name))


def test_names_are_looked_for_where_they_stood() -> None:
    memory: Memory = {}
    Page(VLLM_PAGE, memory).value(WAITING)
    assert VLLM_PAGE[memory[WAITING.name].at :].startswith(b"\nvllm:num_requests_waiting{")


# Any bytes ------------------------------------------------------------------------------------------------

FRAGMENTS = [
    b"x",
    b"x_y",
    b"{",
    b"}",
    b'a="b"',
    b'"',
    b"\\",
    b",",
    b" ",
    b"\t",
    b"\n",
    b"\r\n",
    b"5",
    b"NaN",
    b"# ",
    b"=",
]


@given(st.binary() | st.lists(st.sampled_from(FRAGMENTS)).map(b"".join))
def test_no_page_raises(page: bytes) -> None:
    for sample in Page(page).samples(Selector("x")):
        assert math.isfinite(sample.value)
        assert all(isinstance(key, str) for key in sample.labels)
    Page(page).value(Selector("x", (("a", "b"),)))


LABEL_VALUES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e")
)


@given(st.lists(st.tuples(LABEL_VALUES, st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_agrees_with_the_full_parser(series: list[tuple[str, float]]) -> None:
    def escape(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    lines = [
        f'x{{a="{escape(label)}",n="{number}"}} {value!r}\n' for number, (label, value) in enumerate(series)
    ]
    text = "# TYPE x gauge\n" + "".join(lines)
    (family,) = text_string_to_metric_families(text)
    ours = [(dict(sample.labels), sample.value) for sample in Page(text.encode()).samples(Selector("x"))]
    assert ours == [(sample.labels, sample.value) for sample in family.samples]


# Selectors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("vllm:num_requests_waiting", WAITING),
        ("  x  ", Selector("x")),
        ("x{}", Selector("x")),
        ("x{k=v}", Selector("x", (("k", "v"),))),
        ("x{k=v,k2=v2}", Selector("x", (("k", "v"), ("k2", "v2")))),
        ('x{k="v", k2 = "v2",}', Selector("x", (("k", "v"), ("k2", "v2")))),
        ("x{k='v'}", Selector("x", (("k", "v"),))),
        ('"x{k=v}"', Selector("x", (("k", "v"),))),
        ("'x'", Selector("x")),
        ('x{k="a,b}\\"c"}', Selector("x", (("k", 'a,b}"c'),))),
        ('x{k=""}', Selector("x", (("k", ""),))),
    ],
)
def test_selectors(text: str, selector: Selector) -> None:
    assert parse_selector(text) == selector


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "does not begin with a metric name"),
        ("{k=v}", "does not begin with a metric name"),
        ("5x", "does not begin with a metric name"),
        ("x y", "does not begin with a metric name"),
        ("x{k=v", "no closing brace"),
        ("x{k=v} 5", "no closing brace"),
        ('x{k!="v"}', "only equality"),
        ('x{k=~"v"}', "only equality"),
        ("x{k}", "only equality"),
        ("x{k=v w}", "expected a comma"),
        ("x{k=v,,}", "only equality"),
    ],
)
def test_what_is_no_selector_says_why(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_selector(text)


def test_a_selector_prints_as_it_is_written() -> None:
    assert str(parse_selector("x{k=v,k2='v2'}")) == 'x{k="v",k2="v2"}'
    assert repr(Page(b"# page\nx 1\n")) == "<Page of 11 bytes>"
