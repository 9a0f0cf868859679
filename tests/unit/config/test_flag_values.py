import re
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.config.durations import Seconds
from epp.config.flag_values import Unquoted, kind_of


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "", ""),
        (str, " a=b ", " a=b "),
        (int, "-007", -7),
        (int, "+5", 5),
        (float, "1e3", 1000.0),
        (float, "-.5", -0.5),
        (bool, "T", True),
        (bool, "0", False),
        (Seconds, "50ms", 0.05),
        (Literal["http", "https"], "https", "https"),
        (str | None, "x", "x"),
        (Optional[int], "3", 3),  # noqa: UP045 - both ways to write it
        (tuple[str, ...], "a, b", ("a", "b")),
        (tuple[str, ...], "", ()),
        (tuple[int, ...], "8000,8001", (8000, 8001)),
        (Unquoted, '"sglang:num_queue_reqs"', "sglang:num_queue_reqs"),
        (Unquoted, 'm{a="b"}', 'm{a="b"}'),
        (Unquoted, '"', '"'),
    ],
)
def test_reads(kind: Any, text: str, value: object) -> None:
    found = kind_of(kind).read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        (int, "", '"" is no whole number'),
        (int, "1.0", '"1.0" is no whole number'),
        (int, "0x10", '"0x10" is no whole number'),
        (int, "1_000", '"1_000" is no whole number'),
        (int, "\u0663", '"\u0663" is no whole number'),
        (int, "9" * 5000, "is no whole number"),
        (int, str(2**63), "is out of range"),
        (float, "inf", '"inf" is no number'),
        (float, "nan", '"nan" is no number'),
        (float, "1e", '"1e" is no number'),
        (float, "1e999", '"1e999" is out of range'),
        (bool, "yes", '"yes" is neither true nor false'),
        (Seconds, "50", '"50" is no duration'),
        (Literal["http", "https"], "ftp", '"ftp" is not one of http, https'),
        (tuple[str, ...], "a,,b", '"a,,b" has an empty item'),
        (tuple[int, ...], "1,x", '"x" is no whole number'),
    ],
)
def test_says_what_is_wrong(kind: Any, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        kind_of(kind).read(text)


@pytest.mark.parametrize("kind", [bytes, dict[str, str], tuple[int, str], tuple[int], tuple[bytes, ...]])
def test_other_types_are_no_flags(kind: Any) -> None:
    with pytest.raises(TypeError, match="a flag cannot be of type"):
        kind_of(kind)


@given(
    st.sampled_from([(int, st.integers(-(2**63), 2**63 - 1)), (bool, st.booleans())]).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), pair[1])
    )
)
def test_what_is_shown_reads_the_same(case: tuple[Any, Any]) -> None:
    kind, value = case
    assert kind_of(kind).read(kind_of(kind).show(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_whole(value: float) -> None:
    kind = kind_of(float)
    assert kind.read(kind.show(value)) == value
