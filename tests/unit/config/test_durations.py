import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.config.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("50ms", 0.05),
        ("2s", 2.0),
        ("1m30s", 90.0),
        ("1h0m0.5s", 3600.5),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("100us", 1e-4),
        ("100\u00b5s", 1e-4),
        ("100\u03bcs", 1e-4),
        ("7ns", 7e-9),
        ("-2s", -2.0),
        ("+2s", 2.0),
        ("3s3s", 6.0),
    ],
)
def test_reads_what_go_reads(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "1 s", "s", "1d", "1e3s", ".s", "-", "2S", "1m 30s", "1,5s", "nan", "\u0663s"]
)
def test_refuses_what_go_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write a number and a unit"):
        parse_duration(text)


def test_has_gos_limit() -> None:
    assert parse_duration("2562047h") == 2562047 * 3600
    with pytest.raises(ValueError, match="too long"):
        parse_duration("2562048h")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.05, "50ms"),
        (0.0015, "1.5ms"),
        (1e-6, "1us"),
        (2e-9, "2ns"),
        (30, "30s"),
        (2.25, "2.25s"),
        (90, "1m30s"),
        (3600, "1h"),
        (3601.5, "1h1.5s"),
        (-2, "-2s"),
    ],
)
def test_shows_the_shortest(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_what_is_shown_reads_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 10**9
    assert round(parse_duration(format_duration(seconds)) * 10**9) == nanoseconds
