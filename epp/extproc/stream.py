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

from enum import Enum

from epp.errors import BadRequestError, ProtocolError, RequestError, TooLargeError
from epp.extproc.answers import cut, error_response, with_destination
from epp.extproc.exchange import Exchange, Place
from epp.extproc.names import WENT_INTO_RESPONSE, destination_metadata
from epp.wire.messages import (
    NO_CONTEXT,
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
    Phase,
    ProtocolConfig,
    TrailersAnswer,
)

# Methods whose requests mean the same with an empty body as with none (RFC 9110, section 9.3).
_BODYLESS_METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})

_DEFAULT_PROTOCOL = ProtocolConfig(BodyMode.FULL_DUPLEX_STREAMED, BodyMode.FULL_DUPLEX_STREAMED)

# The modes in which one answer is owed to each body message.
_ONE_BODY_MESSAGE = frozenset({BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL})


class _State(Enum):
    IDLE = "idle"
    COLLECTING = "collecting"
    PLACING = "placing"
    PASSING = "passing"
    BODY = "body"
    DONE = "done"


class Stream:
    """One ext_proc stream. `receive` takes a message and returns the answers now due, or a `Place`.

    After a `Place` the owner calls `placed` or `refused`, once, and sends what that returns. Messages may
    come in between. `refusal` is the error that an immediate response has been returned for.
    """

    def __init__(self, max_request_bytes: int) -> None:
        self._max_request_bytes = max_request_bytes
        self._request = _State.IDLE
        self._response = _State.IDLE
        self._protocol = _DEFAULT_PROTOCOL
        self._metadata: dict[str, dict[str, object]] = {}
        self._headers: HeaderList = ()
        self._pieces: list[bytes] = []
        self._size = 0
        self._request_trailers = False
        self._exchange: Exchange | None = None
        self.refusal: RequestError | None = None

    def __repr__(self) -> str:
        return f"<Stream request={self._request.value} response={self._response.value} body={self._size}B>"

    @property
    def ended(self) -> bool:
        """Whether an immediate response has been returned: nothing may follow it."""
        return self.refusal is not None

    def receive(self, message: Message) -> list[Answer | Place]:
        """One message from Envoy. Raises ProtocolError if it may not come now."""
        if self.ended:
            return []
        if message.context is not NO_CONTEXT:
            self._take_context(message.context)
        match message:
            case HttpBody(phase=Phase.REQUEST):
                return self._request_body(message)
            case HttpBody():
                return self._response_body(message)
            case HttpHeaders(phase=Phase.REQUEST):
                return self._request_headers(message)
            case HttpHeaders():
                return self._response_headers(message)
            case HttpTrailers(phase=Phase.REQUEST):
                return self._trailers_of_request()
            case HttpTrailers():
                return self._trailers_of_response()

    def placed(self, exchange: Exchange) -> list[Answer]:
        """The director found an endpoint: the answers that tell Envoy."""
        if self._request is not _State.PLACING:
            return []
        self._exchange = exchange
        mode = self._request_mode
        if mode is BodyMode.STREAMED:
            self._request = _State.PASSING
            return [self._destination_answer(exchange, None)]
        self._request = _State.DONE
        if mode in _ONE_BODY_MESSAGE:
            return [self._buffered_destination(exchange), *self._owed_trailers()]
        if mode is BodyMode.NONE:
            return [self._destination_answer(exchange, None), *self._owed_trailers()]
        body = self._take_body() if exchange.request_body is None else exchange.request_body
        ended_by_trailers = self._request_trailers
        answers: list[Answer] = [self._destination_answer(exchange, len(body))]
        if body or not ended_by_trailers:
            answers += cut(Phase.REQUEST, body, end=not ended_by_trailers)
        return answers + self._owed_trailers()

    def refused(self, error: RequestError) -> list[Answer]:
        """The request gets an error answer instead of an endpoint."""
        return [self._refuse(error)] if self._request is _State.PLACING else []

    # The request half ------------------------------------------------------------------------------------

    def _request_headers(self, message: HttpHeaders) -> list[Answer | Place]:
        if self._request is not _State.IDLE:
            raise ProtocolError("request headers came twice")
        if self._response is not _State.IDLE:
            raise ProtocolError("request headers came after response headers")
        self._headers = message.headers
        if message.end_of_stream:
            # From here on a request without a body is like one whose body Envoy keeps to itself.
            self._protocol = ProtocolConfig(BodyMode.NONE, self._protocol.response_body_mode)
        if self._request_mode in (BodyMode.NONE, BodyMode.STREAMED):
            return [self._place(None)]
        self._request = _State.COLLECTING
        if self._request_mode in _ONE_BODY_MESSAGE:
            return [HeadersAnswer(Phase.REQUEST)]
        return []

    def _request_body(self, message: HttpBody) -> list[Answer | Place]:
        match self._request:
            case _State.COLLECTING:
                return self._collect(message)
            case _State.PASSING:
                if message.end_of_stream:
                    self._request = _State.DONE
                return [BodyAnswer(Phase.REQUEST)]
            case _State.IDLE:
                raise ProtocolError("a request body came before request headers")
            case _ if self._request_mode is BodyMode.NONE:
                raise ProtocolError("a request body came where there is none")
            case _:
                return []

    def _collect(self, message: HttpBody) -> list[Answer | Place]:
        self._size += len(message.data)
        if self._size > self._max_request_bytes:
            error = TooLargeError(f"the request body is over {self._max_request_bytes} bytes")
            return [self._refuse(error)]
        if message.data:
            self._pieces.append(message.data)
        if self._request_mode is BodyMode.BUFFERED:
            return [self._place(self._whole_body())]
        if self._request_mode is BodyMode.BUFFERED_PARTIAL:
            return [self._place(self._whole_body(), complete=message.end_of_stream)]
        return [self._place(self._whole_body())] if message.end_of_stream else []

    def _trailers_of_request(self) -> list[Answer | Place]:
        match self._request:
            case _State.IDLE:
                raise ProtocolError("request trailers came before request headers")
            case _State.COLLECTING if self._request_mode in _ONE_BODY_MESSAGE:
                # The headers are answered and no body message is left to name a destination in.
                return [self._refuse(BadRequestError("the request has no body", reason="bad_json"))]
            case _State.COLLECTING:
                self._request_trailers = True
                return [self._place(self._whole_body())]
            case _State.PLACING:
                self._request_trailers = True
                return []
            case _:
                self._request = _State.DONE
                return [TrailersAnswer(Phase.REQUEST)]

    def _place(self, body: bytes | None, *, complete: bool = True) -> Place:
        self._request = _State.PLACING
        return Place(self._headers, self._metadata, body, complete)

    def _refuse(self, error: RequestError) -> ImmediateResponse:
        self._request = _State.DONE
        self._pieces.clear()
        self.refusal = error
        return error_response(error)

    def _whole_body(self) -> bytes | None:
        """The collected body, joined once; None for an empty one that means none."""
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        if self._pieces:
            return self._pieces[0]
        method = next((value for name, value in self._headers if name == ":method"), "")
        return None if method in _BODYLESS_METHODS else b""

    def _take_body(self) -> bytes:
        body = self._pieces[0] if self._pieces else b""
        self._pieces = []
        return body

    def _destination_answer(self, exchange: Exchange, length: int | None) -> HeadersAnswer:
        return HeadersAnswer(
            Phase.REQUEST,
            with_destination(exchange, length),
            clear_route_cache=True,
            dynamic_metadata=destination_metadata(exchange.destination),
        )

    def _buffered_destination(self, exchange: Exchange) -> BodyAnswer:
        self._pieces.clear()
        # Envoy refuses to replace a whole body by one of another length than the headers say. Of a part of a
        # body it takes the length out of the headers itself.
        replaces_whole = exchange.request_body is not None and self._request_mode is BodyMode.BUFFERED
        length = len(exchange.request_body or b"") if replaces_whole else None
        return BodyAnswer(
            Phase.REQUEST,
            exchange.request_body,
            with_destination(exchange, length),
            clear_route_cache=True,
            dynamic_metadata=destination_metadata(exchange.destination),
        )

    def _owed_trailers(self) -> list[Answer]:
        return [TrailersAnswer(Phase.REQUEST)] if self._request_trailers else []

    # The response half -----------------------------------------------------------------------------------

    def _response_headers(self, message: HttpHeaders) -> list[Answer | Place]:
        if self._response is not _State.IDLE:
            raise ProtocolError("response headers came twice")
        if self._request is not _State.DONE:
            self._abandon_request()
        self._response = _State.BODY
        mutation = HeaderMutation(((WENT_INTO_RESPONSE, "true"),))
        if self._exchange is not None:
            changes = self._exchange.response_headers(message.headers, message.context)
            removed = changes.remove
            if self._exchange.rewrites_response:
                removed = (*removed, "content-length")
            mutation = HeaderMutation((*mutation.set, *changes.set), removed)
        if message.end_of_stream:
            self._end_response()
        return [HeadersAnswer(Phase.RESPONSE, mutation)]

    def _response_body(self, message: HttpBody) -> list[Answer | Place]:
        if self._response is _State.IDLE:
            raise ProtocolError("a response body came before response headers")
        if self._response is _State.DONE:
            return []
        mode = self._protocol.response_body_mode
        if mode is BodyMode.NONE:
            raise ProtocolError("a response body came where there is none")
        end = message.end_of_stream or mode in _ONE_BODY_MESSAGE
        data = self._exchange.response_body(message.data, end) if self._exchange else message.data
        if message.end_of_stream:
            self._end_response()
        if mode is BodyMode.FULL_DUPLEX_STREAMED:
            if not data and not end:
                return []
            return list(cut(Phase.RESPONSE, data, end=message.end_of_stream))
        return [BodyAnswer(Phase.RESPONSE, None if data is message.data else data)]

    def _trailers_of_response(self) -> list[Answer | Place]:
        if self._response is _State.IDLE:
            raise ProtocolError("response trailers came before response headers")
        answers: list[Answer | Place] = []
        if self._response is _State.BODY:
            rest = self._exchange.response_body(b"", True) if self._exchange else b""
            if rest:
                if self._protocol.response_body_mode is not BodyMode.FULL_DUPLEX_STREAMED:
                    raise ProtocolError("response trailers came in the middle of a model name")
                answers += cut(Phase.RESPONSE, rest, end=False)
            self._end_response()
        return [*answers, TrailersAnswer(Phase.RESPONSE)]

    def _abandon_request(self) -> None:
        """Envoy answers the client although the request was not placed: a local reply."""
        self._request = _State.DONE
        self._pieces.clear()

    def _end_response(self) -> None:
        self._response = _State.DONE
        if self._exchange is not None:
            self._exchange.response_ended()

    # Both ------------------------------------------------------------------------------------------------

    @property
    def _request_mode(self) -> BodyMode:
        return self._protocol.request_body_mode

    def _take_context(self, context: Context) -> None:
        # Merged, not replaced: some gateways send metadata with the headers only (reference issue #2824).
        for namespace, values in context.metadata.items():
            self._metadata.setdefault(namespace, {}).update(values)
        if context.protocol is not None and self._request is _State.IDLE and self._response is _State.IDLE:
            self._protocol = context.protocol
