"""Who may read a page, asked of an API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from epp.kubernetes.access import Access
from epp.kubernetes.credentials import Fixed
from epp.kubernetes.reviews import NO_COUNTS, YES_COUNTS, Reviews, Verdict
from tests.kubernetes_api import ACCESS_REVIEWS, TOKEN_REVIEWS, KubernetesApi

READER = "system:serviceaccount:monitoring:reader"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api() -> AsyncIterator[KubernetesApi]:
    """A server that knows the token `good`, whose owner may get /metrics, and `poor`, whose owner may not."""
    users = {"good": {"username": READER, "groups": ["g"], "extra": {"k": ["v"]}}, "poor": {"username": "p"}}

    def token(spec: dict[str, Any]) -> dict[str, Any]:
        user = users.get(spec["token"])
        return {"authenticated": True, "user": user} if user else {"authenticated": False, "error": "unknown"}

    def access(spec: dict[str, Any]) -> dict[str, Any]:
        assert spec["nonResourceAttributes"]["verb"] == "get"
        asked = (spec["user"], spec["groups"], spec["extra"], spec["nonResourceAttributes"]["path"])
        return {"allowed": asked == (READER, ["g"], {"k": ["v"]}, "/metrics")}

    async with KubernetesApi() as api:
        api.reviews = {TOKEN_REVIEWS: token, ACCESS_REVIEWS: access}
        yield api


@pytest.fixture
def reviews(api: KubernetesApi, clock: Clock) -> Reviews:
    return Reviews(Access(api.url, Fixed()), clock)


@pytest.mark.parametrize(
    ("authorization", "path", "verdict"),
    [
        ("Bearer good", "/metrics", Verdict(200)),
        ("bearer  good ", "/metrics", Verdict(200)),
        (
            "Bearer good",
            "/debug/config",
            Verdict(403, f"{READER} may not get the nonResourceURL /debug/config"),
        ),
        ("Bearer poor", "/metrics", Verdict(403, "p may not get the nonResourceURL /metrics")),
        ("Bearer bad", "/metrics", Verdict(401, "the token is not valid")),
        ("Bearer \udcff", "/metrics", Verdict(401, "the token is not valid")),
        ("", "/metrics", Verdict(401, "a bearer token is needed")),
        ("Bearer ", "/metrics", Verdict(401, "a bearer token is needed")),
        ("Basic good", "/metrics", Verdict(401, "a bearer token is needed")),
    ],
)
async def test_verdicts(reviews: Reviews, authorization: str, path: str, verdict: Verdict) -> None:
    assert await reviews.check(authorization, path) == verdict


async def test_a_yes_counts_for_a_minute(reviews: Reviews, api: KubernetesApi, clock: Clock) -> None:
    for _ in range(3):
        assert (await reviews.check("Bearer good", "/metrics")).status == 200
    assert len(api.requests) == 2
    clock.now += YES_COUNTS
    await reviews.check("Bearer good", "/metrics")
    assert len(api.requests) == 4


async def test_a_no_counts_for_less(reviews: Reviews, api: KubernetesApi, clock: Clock) -> None:
    for _ in range(3):
        assert (await reviews.check("Bearer bad", "/metrics")).status == 401
    assert len(api.requests) == 1
    clock.now += NO_COUNTS
    await reviews.check("Bearer bad", "/metrics")
    assert len(api.requests) == 2


@pytest.mark.parametrize("path", [TOKEN_REVIEWS, ACCESS_REVIEWS])
async def test_a_picker_that_may_not_ask_says_so_and_asks_again(
    reviews: Reviews, api: KubernetesApi, path: str
) -> None:
    api.failing[path] = (403, "is forbidden")
    verdict = await reviews.check("Bearer good", "/metrics")
    assert verdict.status == 503
    assert f"the picker's service account may not create {path.rpartition('/')[2]}" in verdict.message
    api.failing.clear()
    assert (await reviews.check("Bearer good", "/metrics")).status == 200


async def test_without_a_server_there_is_no_verdict(reviews: Reviews, api: KubernetesApi) -> None:
    await api.stop()
    assert (await reviews.check("Bearer good", "/metrics")).status == 503


async def test_strangers_do_not_fill_memory(reviews: Reviews) -> None:
    for number in range(300):
        await reviews.check(f"Bearer bad-{number}", "/metrics")
    assert len(reviews._known) == 256
    assert not any(b"bad" in digest for digest, _ in reviews._known)
