import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.config.quantities import format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1.5Gi", 3 * 2**29),
        ("500M", 500_000_000),
        ("2e3", 2000),
        ("2E3", 2000),
        ("1E", 10**18),
        ("1500m", 2),  # parts are rounded up
        (".5k", 500),
        ("+7", 7),
        ("7.", 7),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_reads_what_kubernetes_reads(text: str, value: int) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "1 k", "1KI", "1kb", "0x1", "1e", "1e3k", "--1", "1_0", "inf", "1\n"]
)
def test_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity; write a number and a unit"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["-1", "9223372036854775808", "1e99", "9Ei"])
def test_refuses_what_no_limit_can_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"is out of range; 0 to 2\^63-1"):
        parse_quantity(text)


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (1000, "1000"), (1024, "1Ki"), (3 * 2**29, "1536Mi")])
def test_is_written_in_the_largest_unit_that_fits(value: int, text: str) -> None:
    assert format_quantity(value) == text


@given(st.integers(0, 2**63 - 1))
def test_what_is_written_reads_the_same(value: int) -> None:
    assert parse_quantity(format_quantity(value)) == value
