"""Who may read a page: asked of the API server with a TokenReview and a SubjectAccessReview.

| what comes out | answer |
|---|---|
| no token, or one that the API server does not know | 401 |
| a user who may not get the path (a nonResourceURL in RBAC) | 403 |
| the API server cannot be asked, or will not be asked by the picker | 503, and which permission is missing |

Answers are remembered for a short while under a digest of the token; the token itself is not kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from epp.kubernetes.access import Access
from epp.kubernetes.client import ApiError, Client

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

# Seconds that an answer counts: a yes for as long as the API server itself believes a token review
# (controller-runtime's minute), a no only while somebody repairs it.
YES_COUNTS = 60.0
NO_COUNTS = 5.0

# Answers that are remembered: each reader has one for each page. Strangers' tokens push each other out.
_REMEMBERED = 256

# Questions at a time, so that strangers do not make the picker flood the API server.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """An HTTP status, 200 for yes, and the reason."""

    status: int
    message: str = ""


class _User(msgspec.Struct, frozen=True, omit_defaults=True):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class _TokenStatus(msgspec.Struct, frozen=True):
    authenticated: bool = False
    user: _User = _User()


class _TokenReview(msgspec.Struct, frozen=True):
    status: _TokenStatus = _TokenStatus()


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


class Reviews:
    """Asks, and remembers. `clock`: monotonic seconds."""

    def __init__(self, access: Access, clock: Callable[[], float]) -> None:
        self._access = access
        self._clock = clock
        self._known: OrderedDict[tuple[bytes, str], tuple[float, Verdict]] = OrderedDict()
        self._asking = asyncio.Semaphore(_AT_ONCE)

    async def check(self, authorization: str, path: str) -> Verdict:
        """Whether the bearer of this Authorization header may get `path`."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return Verdict(401, "a bearer token is needed")
        key = (hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest(), path)
        until, verdict = self._known.get(key, (0.0, None))
        if verdict is None or self._clock() >= until:
            async with self._asking:
                verdict = await self._ask(token, path)
            if verdict.status != 503:
                self._remember(key, verdict)
        return verdict

    def _remember(self, key: tuple[bytes, str], verdict: Verdict) -> None:
        counts = YES_COUNTS if verdict.status == 200 else NO_COUNTS
        self._known[key] = (self._clock() + counts, verdict)
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    async def _ask(self, token: str, path: str) -> Verdict:
        try:
            async with Client(self._access) as client:
                user = await _user(client, token)
                if user is None:
                    return Verdict(401, "the token is not valid")
                if not await _may_get(client, user, path):
                    return Verdict(403, f"{user.username} may not get the nonResourceURL {path}")
                return Verdict(200)
        except (ApiError, msgspec.MsgspecError) as error:
            return Verdict(503, f"who may read this cannot be asked of Kubernetes: {error}")


async def _user(client: Client, token: str) -> _User | None:
    """Whose token it is; None if nobody's."""
    try:
        answer = await _review(
            client, TOKEN_REVIEWS, "authentication.k8s.io/v1", "TokenReview", {"token": token}
        )
    except UnicodeEncodeError:  # a header's bytes that are no text
        return None
    status = msgspec.json.decode(answer, type=_TokenReview).status
    return status.user if status.authenticated else None


async def _may_get(client: Client, user: _User, path: str) -> bool:
    spec = {
        "user": user.username,
        "uid": user.uid,
        "groups": user.groups or [],
        "extra": user.extra or {},
        "nonResourceAttributes": {"path": path, "verb": "get"},
    }
    answer = await _review(client, ACCESS_REVIEWS, "authorization.k8s.io/v1", "SubjectAccessReview", spec)
    return msgspec.json.decode(answer, type=_AccessReview).status.allowed


async def _review(client: Client, path: str, version: str, kind: str, spec: dict[str, Any]) -> bytes:
    try:
        return await client.create(path, {"apiVersion": version, "kind": kind, "metadata": {}, "spec": spec})
    except ApiError as error:
        if error.status != 403:
            raise
        message = f"the picker's service account may not create {path.rpartition('/')[2]}: {error}"
        raise ApiError(0, message) from None
