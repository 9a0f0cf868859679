"""The part of CEL that reckons with token counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.plugins.cel import MAX_DEPTH, MAX_LENGTH, CelError, compile_cel

USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "details": {"cached_tokens": 64}}


def value(text: str) -> Any:
    return compile_cel(text)({"usage": USAGE, "rate": 0.5})


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1", 1),
        ("1.5e2", 150.0),
        ("true", True),
        ("usage.prompt_tokens + usage.completion_tokens", 107),
        ("\n usage . prompt_tokens\n", 100),
        ("usage.details.cached_tokens", 64),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("10 - 4 - 3", 3),
        ("7 / 2", 3),
        ("-7 / 2", -3),  # cut towards zero
        ("-7 % 2", -1),  # with the sign of the left
        ("7.0 / 2", 3.5),
        ("7.5 % 2", 1.5),
        ("- -3", 3),
        ("!true || true", True),
        ("!(true || true)", False),
        ("1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2 && 2 == 2.0", True),
        ("1 + 1 == 2 ? 5 : 6", 5),
        ("false ? 1 : true ? 2 : 3", 2),
        ("usage.prompt_tokens > 50 ? usage.prompt_tokens * rate : 0", 50.0),
        ("int(usage.prompt_tokens * 0.333)", 33),
        ("double(3) / 2", 1.5),
        ("has(usage.prompt_tokens)", True),
        ("has(usage.total)", False),
        ("has(usage.details.cached_tokens) && usage.details.cached_tokens > 1", True),
        ("has(usage.other.cached_tokens) && usage.other.cached_tokens > 1", False),
        ("true || usage.nothing", True),
        ("false && usage.nothing", False),
    ],
)
def test_values(text: str, result: Any) -> None:
    found = value(text)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "ends where a value should be"),
        ("1 +", "ends where a value should be"),
        ("1 2", 'has "2" where it should end'),
        ("(1", 'has the end where "\\)" should be'),
        ("1 ? 2", 'has the end where ":" should be'),
        ("1 + * 2", 'has "\\*" where a value should be'),
        ("usage.1", 'has "1" where a value should be'),
        ("a = 1", 'has "=", which means nothing here'),
        ("'text'", "which means nothing here"),
        ("size(usage)", 'has the function "size", and may have has, int, double'),
        ("1" * (MAX_LENGTH + 1), f"more than {MAX_LENGTH} characters"),
        ("(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} deep"),
    ],
)
def test_what_cannot_be_read(text: str, fault: str) -> None:
    with pytest.raises(CelError, match=fault):
        compile_cel(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("usage.total", 'no "total"'),
        ("tokens", 'no "tokens"'),
        ("usage.prompt_tokens.more", 'no "more"'),
        ("1 / 0", "division"),
        ("1 % 0", "division"),
        ("1.0 / 0.0", "division"),
        ("1.0 % 0.0", "math domain error"),
        ("usage + 1", "needs numbers"),
        ("true + 1", "needs numbers"),
        ("-true", "needs numbers"),
        ("true < 2", "needs numbers"),
        ("1 && true", "true or false"),
        ("!1", "true or false"),
        ("1 ? 2 : 3", "true or false"),
        ("int(1e400)", "infinity"),
        ("int(usage)", "int"),
        ("1.5e300 * 1.5e300 * 0", None),
    ],
)
def test_what_has_no_value(text: str, fault: str | None) -> None:
    expression = compile_cel(text)
    if fault is None:
        assert expression({}) != expression({})  # not a number
        return
    with pytest.raises(CelError, match=fault):
        expression({"usage": USAGE})


def test_as_deep_as_it_may_be() -> None:
    assert value("(" * (MAX_DEPTH - 1) + "1" + ")" * (MAX_DEPTH - 1)) == 1
    assert value("-" * (MAX_LENGTH - 2) + "1") == 1
    assert value("1" + "+1" * (MAX_LENGTH // 2 - 1)) == MAX_LENGTH // 2


@given(st.text("0123456789.+-*/%()!&|<>=?: atru", max_size=40))
def test_nothing_but_cel_errors(text: str) -> None:
    try:
        compile_cel(text)({"a": 1})
    except CelError:
        return


@given(st.integers(-1000, 1000), st.integers(-1000, 1000).filter(bool))
def test_division_and_remainder_belong_together(left: int, right: int) -> None:
    both = {"a": left, "b": right}
    assert compile_cel("a / b * b + a % b")(both) == left
    assert abs(compile_cel("a % b")(both)) < abs(right)
