"""session-affinity-filter and session-affinity-scorer: requests of one session go to the same endpoint.

Two ways to know the session, after llm-d's. The client can carry it: an answer has a header that names the
endpoint, and a client that sends the header back is sent there. Or it has an id of the client's making, and
the picker remembers where it went last.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np

from epp.config.constraints import Doc, Length, Range
from epp.datastore.endpoints import Candidates, Endpoint, Floats, Mask
from epp.datastore.store import Datastore
from epp.plugin import Context, Response
from epp.types import InferenceRequest
from epp.wire.messages import HeaderList

# Sessions that one plugin remembers; at 300 bytes each that is 30 MB, with the longest ids 250 MB. The one
# unused for longest goes first.
MAX_SESSIONS = 100_000

# Longer ids are no sessions, and those of requests are not remembered. The longest in use are tokens of a few
# hundred characters.
MAX_ID_LENGTH = 1024

# What llm-d's `agent-identity` looks at: the headers by which coding agents tell their sessions.
_AGENT_HEADERS = ("x-claude-code-session-id", "x-session-affinity", "session-id", "session_id")

_HeaderName = Length(1, 256)
_Seconds = Range(0.001, 30 * 24 * 3600)  # a month is longer than any cache lives


@dataclass(frozen=True)
class EncodedEndpointHeaderConfig:
    """For `encoded_endpoint_header`."""

    header: Annotated[str, _HeaderName, Doc("the header of requests and answers")] = "x-session-token"


@dataclass(frozen=True)
class SessionSource:
    """Where a session's id stands: exactly one of both."""

    header: Annotated[str | None, Doc("a header of the request")] = None
    attribute: Annotated[
        Literal["agent-identity"] | None, Doc("agent-identity: the headers that coding agents send")
    ] = None

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers that are looked at, lower-case."""
        return _AGENT_HEADERS if self.header is None else (self.header.lower(),)


@dataclass(frozen=True)
class SessionIdConfig:
    """For `session_id`."""

    sources: Annotated[
        tuple[SessionSource, ...], Length(1, 100), Doc("where the id stands; the first one found counts")
    ] = (SessionSource("x-session-id"),)
    eviction_ttl_seconds: Annotated[float, _Seconds, Doc("how long an unused session is remembered")] = 300.0


@dataclass
class _SessionAffinity:
    """What the filter and the scorer share: the endpoint of a request's session."""

    strategy: Annotated[
        Literal["encoded_endpoint_header", "session_id"],
        Doc("the client carries the session in a header, or the picker remembers it by an id"),
    ] = "encoded_endpoint_header"
    profile_name: Annotated[
        str, Doc("the profile whose endpoint the session is bound to; unset: the one that serves")
    ] = ""
    encoded_endpoint_header_config: Annotated[
        EncodedEndpointHeaderConfig, Doc("for encoded_endpoint_header")
    ] = EncodedEndpointHeaderConfig()
    session_id_config: Annotated[SessionIdConfig, Doc("for session_id")] = SessionIdConfig()

    _store: Datastore = field(init=False, repr=False, default_factory=Datastore)
    # By session id, the one unused for longest first: endpoint, and until when it is remembered.
    _sessions: OrderedDict[str, tuple[Endpoint, float]] = field(
        init=False, repr=False, default_factory=OrderedDict
    )
    _latest: InferenceRequest | None = field(init=False, repr=False, default=None)  # that was placed
    # Where a request that has had no answer yet was placed by `profile_name`, by request id.
    _placed: OrderedDict[str, Endpoint] = field(init=False, repr=False, default_factory=OrderedDict)

    def __post_init__(self) -> None:
        for index, source in enumerate(self.session_id_config.sources):
            if bool(source.header) == (source.attribute is not None):
                raise ValueError(f"sessionIdConfig.sources[{index}]: needs one of header and attribute")
        self._header = self.encoded_endpoint_header_config.header.lower()
        self._carried = self.strategy == "encoded_endpoint_header"
        self._id_headers = [name for source in self.session_id_config.sources for name in source.headers]

    def setup(self, context: Context) -> None:
        """See NeedsContext."""
        self._store = context.store

    def placed(self, request: InferenceRequest, endpoint: Endpoint, profile: str) -> None:
        """Binds the session to where its latest request went."""
        is_ours = profile == self.profile_name if self.profile_name else request is not self._latest
        self._latest = request  # the profile that serves is told first
        if not is_ours:
            return
        if self._carried:
            if self.profile_name and len(request.id) <= MAX_ID_LENGTH:
                self._placed[request.id] = endpoint
                _shrink(self._placed)
        elif session := self._session_id(request):
            self._bind(session, endpoint, request.received_at)

    def responded(self, request: InferenceRequest, response: Response) -> HeaderList:
        """The header that names the endpoint, if the client carries the session."""
        if not self._carried:
            return ()
        endpoint = self._placed.pop(request.id, None) if self.profile_name else response.endpoint
        return () if endpoint is None else ((self._header, self._token(endpoint)),)

    def _bound(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for the endpoint of the session; None if there is no session, or it is not a candidate."""
        endpoint = self._named(request) if self._carried else self._remembered(request, endpoints.now)
        if endpoint is None or endpoint.slot < 0:
            return None
        mask: Mask = endpoints.slots == endpoint.slot
        return mask if np.count_nonzero(mask) else None

    # Carried by the client -------------------------------------------------------------------------------

    def _token(self, endpoint: Endpoint) -> str:
        namespace = self._store.pool.namespace if self._store.pool else ""
        return base64.b64encode(f"{namespace}/{endpoint.spec.name}".encode()).decode()

    def _named(self, request: InferenceRequest) -> Endpoint | None:
        try:
            name = base64.b64decode(request.headers.get(self._header, ""), validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        return self._store.endpoints.by_name.get(name.partition("/")[2])

    # Remembered by the picker ----------------------------------------------------------------------------

    def _session_id(self, request: InferenceRequest) -> str:
        ids = (request.headers.get(name, "") for name in self._id_headers)
        found = next(filter(None, ids), "")
        return found if len(found) <= MAX_ID_LENGTH else ""

    def _remembered(self, request: InferenceRequest, now: float) -> Endpoint | None:
        endpoint, until = self._sessions.get(self._session_id(request), (None, now))
        return endpoint if until > now else None

    def _bind(self, session: str, endpoint: Endpoint, now: float) -> None:
        sessions = self._sessions
        sessions[session] = (endpoint, now + self.session_id_config.eviction_ttl_seconds)
        sessions.move_to_end(session)
        while next(iter(sessions.values()))[1] <= now:  # not the one just bound
            sessions.popitem(last=False)
        _shrink(sessions)


def _shrink(remembered: OrderedDict[str, Endpoint] | OrderedDict[str, tuple[Endpoint, float]]) -> None:
    if len(remembered) > MAX_SESSIONS:
        remembered.popitem(last=False)


@dataclass
class SessionAffinityFilter(_SessionAffinity):
    """Keeps only the endpoint that served the session before, while it is among the candidates.

    With `encoded_endpoint_header` answers carry base64 of "namespace/name" of the endpoint that served, also
    after a retry, and a client that sends it back is sent there. With `session_id` the picker remembers where
    each session went. Requests without a session, and those whose endpoint is away, may go anywhere.
    """

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for the session's endpoint; None, which keeps all, if there is none."""
        return self._bound(request, endpoints)


@dataclass
class SessionAffinityScorer(_SessionAffinity):
    """Prefers the endpoint that served the session before.

    1 for it and 0 for the others; 0 for all without a session, or if its endpoint is away. Sessions are known
    as session-affinity-filter knows them.
    """

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """1 for the session's endpoint."""
        mask = self._bound(request, endpoints)
        return 0.0 if mask is None else mask.astype(np.float64)
