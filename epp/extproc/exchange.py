"""Between the stream and the director: the question where a request should go, and its answer."""

from __future__ import annotations

from typing import Protocol

import msgspec

from epp.wire.messages import Context, HeaderList, HeaderMutation, MetadataMap


class Exchange(Protocol):
    """A placed request, as the director hands it over: what to tell Envoy, whom to tell of the answer."""

    @property
    def destination(self) -> str:
        """`ip:port`, or several with commas: the first serves, the others are fallbacks in order."""

    @property
    def metadata(self) -> MetadataMap:
        """Dynamic metadata that says the same, and what else the gateway should know."""

    @property
    def request_mutation(self) -> HeaderMutation:
        """Changes to the request's headers beside the destination and the length."""

    @property
    def request_body(self) -> bytes | None:
        """The body to send instead of the one that came; None: as it came."""

    @property
    def rewrites_response(self) -> bool:
        """Whether `response_body` may return other bytes than it was given."""

    def response_headers(self, headers: HeaderList, context: Context) -> HeaderMutation:
        """Takes note of the answer's headers and returns what to change in them."""

    def response_body(self, data: bytes, end: bool) -> bytes:
        """Takes note of a piece of the answer and returns what to send on now; `end`: no more will come."""

    def response_ended(self) -> MetadataMap:
        """The answer is complete; dynamic metadata to send with its end."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Asks the director for an endpoint. `body` None: there is none, or it cannot be waited for."""

    headers: HeaderList
    metadata: MetadataMap
    body: bytes | None
    complete: bool = True  # False: only the first part of the body is known (BUFFERED_PARTIAL)
