"""header-based-testing-filter: the endpoints that a request names."""

from __future__ import annotations

import pytest

from epp.datastore.store import Datastore
from epp.plugins.header_based_testing_filter import HEADER, HeaderBasedTestingFilter
from epp.types import Api, EndpointSpec, ParsedBody
from tests.pools import everyone, request, snapshot, who_stays


def pool() -> Datastore:
    """Two ranks of one server, another server, and one with an IPv6 address."""
    store = Datastore()
    store.apply(
        snapshot(
            EndpointSpec("a-rank-0", "10.0.0.1", 3000),
            EndpointSpec("a-rank-1", "10.0.0.1", 3002),
            EndpointSpec("b", "10.0.0.2", 3000),
            EndpointSpec("six", "fd00::1", 3000),
        )
    )
    return store


@pytest.mark.parametrize(
    ("header", "stay"),
    [
        ("10.0.0.2", ["b"]),
        ("10.0.0.2:3000", ["b"]),
        ("10.0.0.2:9", []),
        ("10.0.0.1:3002", ["a-rank-1"]),
        ("10.0.0.1", ["a-rank-0", "a-rank-1"]),
        (" 10.0.0.2 ,10.0.0.1:3000", ["a-rank-0", "b"]),
        ("10.0.0.2,10.0.0.2", ["b"]),
        ("[fd00::1]:3000", ["six"]),
        ("[fd00::1]", ["six"]),
        ("fd00::1", ["six"]),
        ("10.9.9.9", []),
        (" ", []),
        (None, []),
    ],
)
def test_who_stays(header: str | None, stay: list[str]) -> None:
    candidates = everyone(pool())
    asked = request(headers={} if header is None else {HEADER: header})
    assert who_stays(HeaderBasedTestingFilter().filter(asked, candidates), candidates) == stay


@pytest.mark.parametrize(
    ("headers", "stay"),
    [({}, ["a-rank-0", "a-rank-1", "b", "six"]), ({HEADER: "10.0.0.2"}, ["b"])],
)
def test_a_request_without_a_body(headers: dict[str, str], stay: list[str]) -> None:
    candidates, asked = everyone(pool()), request(headers=headers)
    asked.body = ParsedBody(Api.NONE)
    assert who_stays(HeaderBasedTestingFilter().filter(asked, candidates), candidates) == stay
