"""The conversation with Envoy about one HTTP request, as a state machine without I/O.

A stream has two halves that do not wait for each other, one for the request and one for the response.

The request half. Where a request is placed depends on how Envoy sends its body, since the destination has to
be told in an answer that Envoy still listens to:

| request body mode    | placed when              | headers are answered | body is answered               |
|----------------------|--------------------------|----------------------|--------------------------------|
| no body              | headers come             | at once, destination | -                              |
| NONE                 | headers come             | at once, destination | Envoy sends none               |
| STREAMED             | headers come             | at once, destination | each piece unchanged           |
| BUFFERED             | the body comes           | at once, empty       | destination, body if rewritten |
| BUFFERED_PARTIAL     | the first part comes     | at once, empty       | destination, part if rewritten |
| FULL_DUPLEX_STREAMED | its end or trailers come | then, destination    | then, in pieces                |

    state      what it waits for           next
    IDLE       headers                     COLLECTING, or PLACING if they are enough to decide
    COLLECTING the body                    PLACING at the moment that the table names
    PLACING    the director                PASSING if the body is still to come (STREAMED), else DONE
    PASSING    more body, or trailers      DONE at their end
    DONE       nothing; a repeated end of body is dropped (Envoy 1.35 to 1.37 send some twice)

The response half: IDLE -> BODY -> DONE. Its pieces are answered as they come and never collected.

Envoy tells the body modes in the first message of a stream (`protocol_config`). Versions that do not are
taken to use FULL_DUPLEX_STREAMED, which the endpoint-picker protocol demands.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from epp.errors import BadRequestError, ProtocolError, RequestError, TooLargeError
from epp.extproc.answers import cut, error_response, with_destination
from epp.extproc.exchange import Exchange, Place
from epp.extproc.names import WENT_INTO_RESPONSE
from epp.wire.messages import (
    NO_CONTEXT,
    NO_METADATA,
    Answer,
    BodyAnswer,
    BodyMode,
    Context,
    HeaderList,
    HeaderMutation,
    HeadersAnswer,
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    ImmediateResponse,
    Message,
    MetadataMap,
    Phase,
    TrailersAnswer,
)

# Methods whose requests mean the same with an empty body as with none (RFC 9110, section 9.3).
_BODYLESS_METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class State(Enum):
    """Where one half of a stream stands."""

    IDLE = "idle"
    COLLECTING = "collecting"
    PLACING = "placing"
    PASSING = "passing"
    BODY = "body"
    DONE = "done"


# Names of their own: Python 3.11 takes 100 ns to find a member in its class, and a stream asks for thirty.
IDLE, COLLECTING, PLACING, PASSING, BODY, DONE = State
NONE, STREAMED, BUFFERED, BUFFERED_PARTIAL, FULL_DUPLEX_STREAMED, _ = BodyMode
REQUEST, RESPONSE = Phase

# The modes in which one answer is owed to each body message.
_ONE_BODY_MESSAGE = (BUFFERED, BUFFERED_PARTIAL)

# What every answer's headers get.
_WENT = ((WENT_INTO_RESPONSE, "true"),)


class Stream:
    """One ext_proc stream. `receive` takes a message and returns the answers now due, or a `Place`.

    After a `Place` the owner calls `placed` or `refused`, once, and sends what that returns. Messages may
    come in between. `refusal` is the error that an immediate response has been returned for; nothing may
    follow it.
    """

    def __init__(self, max_request_bytes: int) -> None:
        self._max_request_bytes = max_request_bytes
        self._request = IDLE
        self._response = IDLE
        self._request_mode = FULL_DUPLEX_STREAMED
        self._response_mode = FULL_DUPLEX_STREAMED
        self._metadata: dict[str, dict[str, object]] = {}
        self._headers: HeaderList = ()
        self._pieces: list[bytes | memoryview] = []
        self._body: bytes | None = None  # the pieces joined, while the director thinks
        self._size = 0
        self._trailers_came = False
        self._exchange: Exchange | None = None
        self.refusal: RequestError | None = None

    def __repr__(self) -> str:
        return f"<Stream request={self._request.value} response={self._response.value} body={self._size}B>"

    def receive(self, message: Message) -> list[Answer] | Place:
        """One message from Envoy. Raises ProtocolError if it may not come now."""
        if self.refusal is not None:
            return []
        if message.context is not NO_CONTEXT:
            self._take_context(message.context)
        half = _REQUEST_HALF if message.phase is REQUEST else _RESPONSE_HALF
        return half[type(message)](self, message)

    def placed(self, exchange: Exchange) -> list[Answer]:
        """The director found an endpoint: the answers that tell Envoy."""
        if self._request is not PLACING:
            return []
        self._exchange = exchange
        self._request = DONE
        if self._request_mode is STREAMED:
            self._request = PASSING
            return [self._destination_answer(exchange, None)]
        if self._request_mode is NONE:
            return [self._destination_answer(exchange, None), *self._owed_trailers()]
        if self._request_mode in _ONE_BODY_MESSAGE:
            return [self._buffered_destination(exchange), *self._owed_trailers()]
        return self._destination_and_body(exchange)

    def refused(self, error: RequestError) -> list[Answer]:
        """The request gets an error answer instead of an endpoint."""
        return [self._refuse(error)] if self._request is PLACING else []

    # The request half ------------------------------------------------------------------------------------

    def _request_headers(self, message: HttpHeaders) -> list[Answer] | Place:
        if self._request is not IDLE:
            raise ProtocolError("request headers came twice")
        if self._response is not IDLE:
            raise ProtocolError("request headers came after response headers")
        self._headers = message.headers
        if message.end_of_stream:
            # From here on a request without a body is like one whose body Envoy keeps to itself.
            self._request_mode = NONE
        if self._request_mode is NONE or self._request_mode is STREAMED:
            return self._place(None)
        self._request = COLLECTING
        return [HeadersAnswer(REQUEST)] if self._request_mode in _ONE_BODY_MESSAGE else []

    def _request_body(self, message: HttpBody) -> list[Answer] | Place:
        if self._request is COLLECTING:
            return self._collect(message)
        if self._request is PASSING:
            if message.end_of_stream:
                self._request = DONE
            return [BodyAnswer(REQUEST)]
        if self._request is IDLE:
            raise ProtocolError("a request body came before request headers")
        if self._request_mode is NONE:
            raise ProtocolError("a request body came where there is none")
        return []

    def _collect(self, message: HttpBody) -> list[Answer] | Place:
        self._size += len(message.data)
        if self._size > self._max_request_bytes:
            error = TooLargeError(f"the request body is over {self._max_request_bytes} bytes")
            return [self._refuse(error)]
        if message.data:
            self._pieces.append(message.data)
        if self._request_mode is BUFFERED:
            return self._place(self._whole_body())
        if self._request_mode is BUFFERED_PARTIAL:
            return self._place(self._whole_body(), complete=message.end_of_stream)
        return self._place(self._whole_body()) if message.end_of_stream else []

    def _request_trailers(self, _: HttpTrailers) -> list[Answer] | Place:
        if self._request is IDLE:
            raise ProtocolError("request trailers came before request headers")
        if self._request is COLLECTING:
            if self._request_mode in _ONE_BODY_MESSAGE:
                # The headers are answered and no body message is left to name a destination in.
                return [self._refuse(BadRequestError("the request has no body", reason="bad_json"))]
            self._trailers_came = True
            return self._place(self._whole_body())
        if self._request is PLACING:
            self._trailers_came = True
            return []
        self._request = DONE
        return [TrailersAnswer(REQUEST)]

    def _place(self, body: bytes | None, *, complete: bool = True) -> Place:
        self._request = PLACING
        self._pieces.clear()
        self._body = body
        return Place(self._headers, self._metadata, body, complete)

    def _refuse(self, error: RequestError) -> ImmediateResponse:
        self._request = DONE
        self._forget_body()
        self.refusal = error
        return error_response(error)

    def _whole_body(self) -> bytes | None:
        """The collected body, joined once; None for an empty one that means none."""
        body = b"".join(self._pieces)
        if body:
            return body
        method = next((value for name, value in self._headers if name == ":method"), "")
        return None if method in _BODYLESS_METHODS else b""

    def _forget_body(self) -> None:
        self._pieces.clear()
        self._body = None

    def _destination_and_body(self, exchange: Exchange) -> list[Answer]:
        body = exchange.request_body
        if body is None:
            body = self._body or b""
        self._forget_body()
        answers: list[Answer] = [self._destination_answer(exchange, len(body))]
        if body or not self._trailers_came:
            answers += cut(REQUEST, body, end=not self._trailers_came)
        return answers + self._owed_trailers()

    def _destination_answer(self, exchange: Exchange, length: int | None) -> HeadersAnswer:
        return HeadersAnswer(
            REQUEST,
            with_destination(exchange, length),
            clear_route_cache=True,
            dynamic_metadata=exchange.metadata,
        )

    def _buffered_destination(self, exchange: Exchange) -> BodyAnswer:
        self._forget_body()
        # Envoy refuses to replace a whole body by one of another length than the headers say. Of a part of a
        # body it takes the length out of the headers itself.
        replaces_whole = exchange.request_body is not None and self._request_mode is BUFFERED
        length = len(exchange.request_body or b"") if replaces_whole else None
        return BodyAnswer(
            REQUEST,
            exchange.request_body,
            with_destination(exchange, length),
            clear_route_cache=True,
            dynamic_metadata=exchange.metadata,
        )

    def _owed_trailers(self) -> list[Answer]:
        return [TrailersAnswer(REQUEST)] if self._trailers_came else []

    # The response half -----------------------------------------------------------------------------------

    def _response_headers(self, message: HttpHeaders) -> list[Answer]:
        if self._response is not IDLE:
            raise ProtocolError("response headers came twice")
        if self._request is not DONE:
            self._abandon_request()
        self._response = BODY
        mutation = HeaderMutation(_WENT)
        if self._exchange is not None:
            changes = self._exchange.response_headers(message.headers, message.context)
            removed = changes.remove
            if self._exchange.rewrites_response:
                removed = (*removed, "content-length")
            mutation = HeaderMutation((*_WENT, *changes.set) if changes.set else _WENT, removed)
        metadata = self._end_response() if message.end_of_stream else NO_METADATA
        return [HeadersAnswer(RESPONSE, mutation, dynamic_metadata=metadata)]

    def _response_body(self, message: HttpBody) -> list[Answer]:
        if self._response is IDLE:
            raise ProtocolError("a response body came before response headers")
        if self._response is DONE:
            return []
        mode = self._response_mode
        if mode is NONE:
            raise ProtocolError("a response body came where there is none")
        end = message.end_of_stream or mode in _ONE_BODY_MESSAGE
        data = came = bytes(message.data)  # a view becomes bytes, bytes stay what they are
        if self._exchange is not None:
            data = self._exchange.response_body(came, end)
        metadata = self._end_response() if message.end_of_stream else NO_METADATA
        if mode is FULL_DUPLEX_STREAMED:
            return cut(RESPONSE, data, end=message.end_of_stream, metadata=metadata) if data or end else []
        return [BodyAnswer(RESPONSE, None if data is came else data, dynamic_metadata=metadata)]

    def _response_trailers(self, _: HttpTrailers) -> list[Answer]:
        if self._response is IDLE:
            raise ProtocolError("response trailers came before response headers")
        answers: list[Answer] = []
        metadata = NO_METADATA
        if self._response is BODY:
            rest = self._exchange.response_body(b"", True) if self._exchange else b""
            if rest:
                if self._response_mode is not FULL_DUPLEX_STREAMED:
                    raise ProtocolError("response trailers came in the middle of a model name")
                answers += cut(RESPONSE, rest, end=False)
            metadata = self._end_response()
        return [*answers, TrailersAnswer(RESPONSE, metadata)]

    def _abandon_request(self) -> None:
        """Envoy answers the client although the request was not placed: a local reply."""
        self._request = DONE
        self._forget_body()

    def _end_response(self) -> MetadataMap:
        self._response = DONE
        return NO_METADATA if self._exchange is None else self._exchange.response_ended()

    # Both ------------------------------------------------------------------------------------------------

    def _take_context(self, context: Context) -> None:
        # Merged, not replaced: some gateways send metadata with the headers only (reference issue #2824).
        for namespace, values in context.metadata.items():
            self._metadata.setdefault(namespace, {}).update(values)
        if context.protocol is not None and self._request is IDLE and self._response is IDLE:
            self._request_mode = context.protocol.request_body_mode
            self._response_mode = context.protocol.response_body_mode


_Half = dict[type[Message], Callable[[Stream, Any], list[Answer] | Place]]
_REQUEST_HALF: _Half = {
    HttpHeaders: Stream._request_headers,
    HttpBody: Stream._request_body,
    HttpTrailers: Stream._request_trailers,
}
_RESPONSE_HALF: _Half = {
    HttpHeaders: Stream._response_headers,
    HttpBody: Stream._response_body,
    HttpTrailers: Stream._response_trailers,
}
