"""The few things that shared values can say of themselves."""

from __future__ import annotations

import pytest

from epp.types import EndpointSpec, Prompt, format_address


@pytest.mark.parametrize(
    ("host", "address"),
    [("10.0.0.1", "10.0.0.1:8000"), ("2001:db8::1", "[2001:db8::1]:8000"), ("::1", "[::1]:8000")],
)
def test_addresses(host: str, address: str) -> None:
    assert format_address(host, 8000) == address
    assert EndpointSpec("e", host, 8000).address == address


def test_the_size_of_a_prompt_is_in_bytes() -> None:
    assert Prompt().size == 0
    assert Prompt((memoryview(b"abc"), memoryview("ß".encode()))).size == 5
