"""The stream's conversations with Envoy, as dialogues: `>>` what Envoy says, `<<` what the picker answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.errors import BadRequestError, NoEndpointError, ProtocolError, RequestError, ShedError
from epp.extproc.answers import BODY_PIECE_BYTES
from epp.extproc.exchange import Place
from epp.extproc.names import DESTINATION, destination_metadata
from epp.extproc.stream import Stream
from epp.wire.messages import (
    NO_CONTEXT,
    NO_MUTATION,
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
    ProtocolConfig,
    StreamedBody,
    TrailersAnswer,
)

REQUEST, RESPONSE = Phase.REQUEST, Phase.RESPONSE
POST: HeaderList = ((":method", "POST"), (":path", "/v1/completions"))
GET: HeaderList = ((":method", "GET"), (":path", "/v1/models"))
OK: HeaderList = ((":status", "200"), ("content-type", "application/json"))
WENT = HeaderMutation((("x-went-into-resp-headers", "true"),))
PLACE_A = {"envoy.lb": {DESTINATION: "10.0.0.1:8000"}}


@dataclass
class FakeExchange:
    """What a director would return, without one."""

    destination: str = "10.0.0.1:8000"
    request_mutation: HeaderMutation = NO_MUTATION
    request_body: bytes | None = None
    rewrites_response: bool = False
    header_changes: HeaderMutation = NO_MUTATION
    seen: list[bytes] = field(default_factory=list)
    held: bytes = b""
    ended: int = 0
    last_words: MetadataMap = field(default_factory=dict)

    @property
    def metadata(self) -> MetadataMap:
        return destination_metadata(self.destination)

    def response_headers(self, headers: HeaderList, context: Context) -> HeaderMutation:
        return self.header_changes

    def response_body(self, data: bytes, end: bool) -> bytes:
        self.seen.append(data)
        if not self.rewrites_response:
            return data
        # Holds the last byte back, as a rewriter in the middle of a name does.
        data = self.held + data
        self.held = b"" if end else data[-1:]
        return data if end else data[:-1]

    def response_ended(self) -> MetadataMap:
        self.ended += 1
        return self.last_words


class Dialogue:
    """Runs a stream; a `Place` is answered with `outcome` at once."""

    def __init__(
        self,
        outcome: FakeExchange | RequestError | None = None,
        *,
        request: BodyMode | None = None,
        response: BodyMode = BodyMode.FULL_DUPLEX_STREAMED,
        limit: int = 1 << 20,
    ) -> None:
        self.stream = Stream(limit)
        self.outcome = outcome if outcome is not None else FakeExchange()
        self.places: list[Place] = []
        protocol = None if request is None else ProtocolConfig(request, response)
        self._context = Context(protocol=protocol) if protocol else NO_CONTEXT

    def says(self, message: Message) -> list[Answer]:
        if self._context is not NO_CONTEXT:
            message = msgspec.structs.replace(message, context=self._context)
            self._context = NO_CONTEXT
        step = self.stream.receive(message)
        if not isinstance(step, Place):
            return step
        self.places.append(step)
        if isinstance(self.outcome, RequestError):
            return self.stream.refused(self.outcome)
        return self.stream.placed(self.outcome)


def request_headers(end: bool = False, headers: HeaderList = POST) -> HttpHeaders:
    return HttpHeaders(REQUEST, headers, end)


def request_body(data: bytes, end: bool = False) -> HttpBody:
    return HttpBody(REQUEST, data, end)


def response_headers(end: bool = False) -> HttpHeaders:
    return HttpHeaders(RESPONSE, OK, end)


def response_body(data: bytes, end: bool = False) -> HttpBody:
    return HttpBody(RESPONSE, data, end)


def destination_answer(length: int | None = None, to: str = "10.0.0.1:8000") -> HeadersAnswer:
    added: HeaderList = ((DESTINATION, to),)
    if length:
        added = (*added, ("Content-Length", str(length)))
    return HeadersAnswer(REQUEST, HeaderMutation(added), True, {"envoy.lb": {DESTINATION: to}})


class TestFullDuplex:
    def test_the_answer_to_the_headers_waits_for_the_body(self) -> None:
        talk = Dialogue()
        assert talk.says(request_headers()) == []
        assert talk.says(request_body(b'{"model":')) == []
        assert talk.says(request_body(b'"m"}', end=True)) == [
            destination_answer(13),
            StreamedBody(REQUEST, b'{"model":"m"}', True),
        ]
        assert talk.places[0].body == b'{"model":"m"}'
        assert talk.says(response_headers()) == [HeadersAnswer(RESPONSE, WENT)]
        assert talk.says(response_body(b"a")) == [StreamedBody(RESPONSE, b"a")]
        assert talk.says(response_body(b"b", end=True)) == [StreamedBody(RESPONSE, b"b", True)]
        assert isinstance(talk.outcome, FakeExchange)
        assert talk.outcome.ended == 1

    def test_a_body_can_be_ended_by_trailers(self) -> None:
        talk = Dialogue()
        talk.says(request_headers())
        assert talk.says(request_body(b"{}")) == []
        assert talk.says(HttpTrailers(REQUEST)) == [
            destination_answer(2),
            StreamedBody(REQUEST, b"{}", False),
            TrailersAnswer(REQUEST),
        ]

    def test_trailers_without_a_body(self) -> None:
        talk = Dialogue()
        talk.says(request_headers(headers=GET))
        assert talk.says(HttpTrailers(REQUEST)) == [destination_answer(), TrailersAnswer(REQUEST)]
        assert talk.places[0].body is None

    def test_an_empty_body_of_a_post_is_a_body(self) -> None:
        talk = Dialogue(BadRequestError("empty", reason="bad_json"))
        talk.says(request_headers())
        [answer] = talk.says(request_body(b"", end=True))
        assert isinstance(answer, ImmediateResponse)
        assert talk.places[0].body == b""

    def test_an_empty_body_of_a_get_is_none(self) -> None:
        talk = Dialogue()
        talk.says(request_headers(headers=GET))
        assert talk.says(request_body(b"", end=True)) == [
            destination_answer(),
            StreamedBody(REQUEST, b"", True),
        ]
        assert talk.places[0].body is None

    def test_a_second_end_of_body_is_dropped(self) -> None:
        talk = Dialogue()
        talk.says(request_headers())
        talk.says(request_body(b"{}", end=True))
        assert talk.says(request_body(b"", end=True)) == []
        assert len(talk.places) == 1

    def test_a_rewritten_body_is_sent_with_its_own_length(self) -> None:
        talk = Dialogue(FakeExchange(request_body=b"longer"))
        talk.says(request_headers())
        assert talk.says(request_body(b"{}", end=True)) == [
            destination_answer(6),
            StreamedBody(REQUEST, b"longer", True),
        ]

    def test_other_header_changes_ride_along(self) -> None:
        changes = HeaderMutation((("x-request-id", "1"),), ("x-gateway-inference-objective",))
        talk = Dialogue(FakeExchange(request_mutation=changes))
        [answer] = talk.says(request_headers(end=True))
        assert isinstance(answer, HeadersAnswer)
        assert answer.mutation.set == ((DESTINATION, "10.0.0.1:8000"), ("x-request-id", "1"))
        assert answer.mutation.remove == ("x-gateway-inference-objective",)

    def test_long_bodies_are_cut(self) -> None:
        talk = Dialogue()
        body = bytes(range(256)) * 600
        talk.says(request_headers())
        head, *pieces = talk.says(request_body(body, end=True))
        assert head == destination_answer(len(body))
        assert [len(p.data) for p in pieces if isinstance(p, StreamedBody)] == [62_000, 62_000, 29_600]
        assert [p.end_of_stream for p in pieces if isinstance(p, StreamedBody)] == [False, False, True]

    def test_a_request_without_a_body_is_placed_at_once(self) -> None:
        talk = Dialogue()
        assert talk.says(request_headers(end=True, headers=GET)) == [destination_answer()]
        assert talk.places[0].body is None

    def test_a_body_over_the_limit_is_refused_before_it_is_whole(self) -> None:
        talk = Dialogue(limit=10)
        talk.says(request_headers())
        assert talk.says(request_body(b"12345")) == []
        [answer] = talk.says(request_body(b"678901"))
        assert isinstance(answer, ImmediateResponse)
        assert answer.status == 413
        assert talk.stream.refusal is not None
        assert talk.says(request_body(b"more", end=True)) == []
        assert talk.places == []

    def test_response_trailers(self) -> None:
        talk = Dialogue()
        talk.says(request_headers(end=True))
        talk.says(response_headers())
        assert talk.says(response_body(b"x")) == [StreamedBody(RESPONSE, b"x")]
        assert talk.says(HttpTrailers(RESPONSE)) == [TrailersAnswer(RESPONSE)]
        assert isinstance(talk.outcome, FakeExchange)
        assert talk.outcome.ended == 1

    def test_what_a_rewriter_holds_back_comes_before_the_trailers(self) -> None:
        talk = Dialogue(FakeExchange(rewrites_response=True))
        talk.says(request_headers(end=True))
        assert talk.says(response_headers()) == [
            HeadersAnswer(RESPONSE, HeaderMutation(WENT.set, ("content-length",)))
        ]
        assert talk.says(response_body(b"x")) == []
        assert talk.says(response_body(b"y")) == [StreamedBody(RESPONSE, b"x")]
        assert talk.says(HttpTrailers(RESPONSE)) == [StreamedBody(RESPONSE, b"y"), TrailersAnswer(RESPONSE)]

    def test_a_response_without_a_body(self) -> None:
        talk = Dialogue()
        talk.says(request_headers(end=True))
        assert talk.says(response_headers(end=True)) == [HeadersAnswer(RESPONSE, WENT)]
        assert isinstance(talk.outcome, FakeExchange)
        assert talk.outcome.ended == 1

    def test_a_response_without_a_request(self) -> None:
        talk = Dialogue()
        assert talk.says(response_headers()) == [HeadersAnswer(RESPONSE, WENT)]
        assert talk.says(response_body(b"x" * (BODY_PIECE_BYTES + 1), end=True)) == [
            StreamedBody(RESPONSE, b"x" * BODY_PIECE_BYTES),
            StreamedBody(RESPONSE, b"x", True),
        ]

    def test_a_second_end_of_the_response_is_dropped(self) -> None:
        talk = Dialogue()
        talk.says(response_headers())
        talk.says(response_body(b"x", end=True))
        assert talk.says(response_body(b"", end=True)) == []


class TestOtherModes:
    def test_no_request_body_is_sent(self) -> None:
        talk = Dialogue(request=BodyMode.NONE)
        assert talk.says(request_headers()) == [destination_answer()]
        assert talk.places[0].body is None

    def test_trailers_where_the_body_is_not_sent(self) -> None:
        talk = Dialogue(request=BodyMode.NONE)
        talk.says(request_headers())
        assert talk.says(HttpTrailers(REQUEST)) == [TrailersAnswer(REQUEST)]

    def test_streamed_request(self) -> None:
        talk = Dialogue(request=BodyMode.STREAMED)
        assert talk.says(request_headers()) == [destination_answer()]
        assert talk.says(request_body(b"a")) == [BodyAnswer(REQUEST)]
        assert talk.says(request_body(b"b", end=True)) == [BodyAnswer(REQUEST)]

    def test_streamed_request_ended_by_trailers(self) -> None:
        talk = Dialogue(request=BodyMode.STREAMED)
        talk.says(request_headers())
        talk.says(request_body(b"a"))
        assert talk.says(HttpTrailers(REQUEST)) == [TrailersAnswer(REQUEST)]

    @pytest.mark.parametrize("mode", [BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL])
    def test_buffered_request(self, mode: BodyMode) -> None:
        talk = Dialogue(request=mode)
        assert talk.says(request_headers()) == [HeadersAnswer(REQUEST)]
        assert talk.says(request_body(b"{}", end=True)) == [
            BodyAnswer(REQUEST, None, destination_answer().mutation, True, PLACE_A)
        ]
        assert talk.places[0].complete

    @pytest.mark.parametrize("mode", [BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL])
    def test_buffered_request_ended_by_trailers(self, mode: BodyMode) -> None:
        talk = Dialogue(request=mode)
        talk.says(request_headers())
        assert talk.says(request_body(b"{}")) == [
            BodyAnswer(REQUEST, None, destination_answer().mutation, True, PLACE_A)
        ]
        assert talk.places[0].complete == (mode is BodyMode.BUFFERED)
        assert talk.says(HttpTrailers(REQUEST)) == [TrailersAnswer(REQUEST)]

    def test_buffered_request_of_trailers_alone_cannot_be_placed(self) -> None:
        talk = Dialogue(request=BodyMode.BUFFERED)
        talk.says(request_headers())
        [answer] = talk.says(HttpTrailers(REQUEST))
        assert isinstance(answer, ImmediateResponse)
        assert answer.status == 400

    def test_a_rewritten_buffered_request_needs_its_length(self) -> None:
        talk = Dialogue(FakeExchange(request_body=b"new"), request=BodyMode.BUFFERED)
        talk.says(request_headers())
        assert talk.says(request_body(b"{}", end=True)) == [
            BodyAnswer(REQUEST, b"new", destination_answer(3).mutation, True, PLACE_A)
        ]

    def test_the_rewritten_part_of_a_request_is_not_its_length(self) -> None:
        talk = Dialogue(FakeExchange(request_body=b"new"), request=BodyMode.BUFFERED_PARTIAL)
        talk.says(request_headers())
        assert talk.says(request_body(b"{}")) == [
            BodyAnswer(REQUEST, b"new", destination_answer().mutation, True, PLACE_A)
        ]

    def test_no_response_body_is_sent(self) -> None:
        talk = Dialogue(request=BodyMode.BUFFERED, response=BodyMode.NONE)
        talk.says(request_headers(end=True))
        assert talk.says(response_headers()) == [HeadersAnswer(RESPONSE, WENT)]
        with pytest.raises(ProtocolError):
            talk.says(response_body(b"x"))

    @pytest.mark.parametrize("mode", [BodyMode.STREAMED, BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL])
    def test_response_pieces_are_answered_one_by_one(self, mode: BodyMode) -> None:
        talk = Dialogue(request=BodyMode.BUFFERED, response=mode)
        talk.says(request_headers(end=True))
        talk.says(response_headers())
        assert talk.says(response_body(b"x")) == [BodyAnswer(RESPONSE)]
        assert talk.says(response_body(b"y", end=True)) == [BodyAnswer(RESPONSE)]

    def test_streamed_response_rewritten(self) -> None:
        talk = Dialogue(
            FakeExchange(rewrites_response=True), request=BodyMode.STREAMED, response=BodyMode.STREAMED
        )
        talk.says(request_headers(end=True))
        talk.says(response_headers())
        assert talk.says(response_body(b"x")) == [BodyAnswer(RESPONSE, b"")]
        assert talk.says(response_body(b"y", end=True)) == [BodyAnswer(RESPONSE, b"xy")]

    def test_buffered_response_rewritten_at_once(self) -> None:
        talk = Dialogue(
            FakeExchange(rewrites_response=True), request=BodyMode.BUFFERED, response=BodyMode.BUFFERED
        )
        talk.says(request_headers(end=True))
        talk.says(response_headers())
        assert talk.says(response_body(b"xy")) == [BodyAnswer(RESPONSE)]
        assert talk.says(HttpTrailers(RESPONSE)) == [TrailersAnswer(RESPONSE)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("error", "status", "retry"),
        [
            (BadRequestError("no", reason="no_model"), 400, None),
            (ShedError("full"), 429, "1"),
            (NoEndpointError("none"), 503, "1"),
        ],
    )
    def test_an_error_is_an_immediate_response(
        self, error: RequestError, status: int, retry: str | None
    ) -> None:
        talk = Dialogue(error)
        talk.says(request_headers())
        [answer] = talk.says(request_body(b"{}", end=True))
        assert isinstance(answer, ImmediateResponse)
        headers = dict(answer.headers)
        assert answer.status == status
        assert headers["content-type"] == "application/json"
        assert headers["x-inference-error-reason"] == error.reason
        assert headers.get("retry-after") == retry
        assert json.loads(answer.body) == {
            "error": {"message": error.message, "type": error.kind, "code": status}
        }
        assert talk.stream.refusal is not None

    def test_nothing_follows_an_immediate_response(self) -> None:
        talk = Dialogue(NoEndpointError("none"))
        talk.says(request_headers(end=True))
        assert talk.says(response_headers()) == []


class TestWhileTheDirectorThinks:
    def test_trailers_are_answered_after_the_body(self) -> None:
        stream = Stream(100)
        stream.receive(request_headers())
        assert isinstance(stream.receive(request_body(b"{}", end=True)), Place)
        assert stream.receive(HttpTrailers(REQUEST)) == []
        assert stream.placed(FakeExchange())[-1] == TrailersAnswer(REQUEST)

    def test_a_local_reply_overtakes_the_placing(self) -> None:
        stream = Stream(100)
        stream.receive(request_headers())
        stream.receive(request_body(b"{}", end=True))
        assert stream.receive(response_headers()) == [HeadersAnswer(RESPONSE, WENT)]
        assert stream.placed(FakeExchange()) == []
        assert stream.refused(NoEndpointError("late")) == []
        assert stream.refusal is None

    def test_a_local_reply_before_the_body_is_whole(self) -> None:
        talk = Dialogue()
        talk.says(request_headers())
        talk.says(request_body(b"{"))
        assert talk.says(response_headers(end=True)) == [HeadersAnswer(RESPONSE, WENT)]
        assert talk.says(request_body(b"}", end=True)) == []
        assert talk.places == []


class TestRules:
    @pytest.mark.parametrize(
        "messages",
        [
            [request_body(b"x")],
            [HttpTrailers(REQUEST)],
            [response_body(b"x")],
            [HttpTrailers(RESPONSE)],
            [request_headers(), request_headers()],
            [response_headers(), response_headers()],
            [response_headers(), request_headers()],
            [request_headers(end=True), request_body(b"x", end=True)],
        ],
    )
    def test_a_message_that_may_not_come(self, messages: Sequence[Message]) -> None:
        talk = Dialogue()
        *before, last = messages
        for message in before:
            talk.says(message)
        with pytest.raises(ProtocolError):
            talk.says(last)

    def test_repr_is_one_readable_line(self) -> None:
        talk = Dialogue()
        talk.says(request_headers())
        talk.says(request_body(b"abc"))
        assert repr(talk.stream) == "<Stream request=collecting response=idle body=3B>"


class TestMetadata:
    def test_metadata_of_all_messages_is_merged(self) -> None:
        talk = Dialogue()
        talk.says(HttpHeaders(REQUEST, POST, context=Context({"a": {"x": 1}, "b": {"y": 2}})))
        talk.says(HttpBody(REQUEST, b"{}", True, Context({"a": {"z": 3}})))
        assert talk.places[0].metadata == {"a": {"x": 1, "z": 3}, "b": {"y": 2}}


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans())
def test_any_chunking_gives_the_same_body(pieces: list[bytes], by_trailers: bool) -> None:
    talk = Dialogue()
    whole = b"".join(pieces)
    talk.says(request_headers())
    for piece in pieces:
        assert talk.says(request_body(piece)) == []
    last = HttpTrailers(REQUEST) if by_trailers else request_body(b"", end=True)
    answers = talk.says(last)
    assert talk.places == [Place(POST, {}, whole)]
    assert b"".join(bytes(a.data) for a in answers if isinstance(a, StreamedBody)) == whole
    assert answers[0] == destination_answer(len(whole))


MESSAGES = st.one_of(
    st.builds(HttpHeaders, st.sampled_from(Phase), st.sampled_from([POST, GET, OK]), st.booleans()),
    st.builds(HttpBody, st.sampled_from(Phase), st.binary(max_size=20), st.booleans()),
    st.builds(HttpTrailers, st.sampled_from(Phase)),
)


@given(
    st.lists(MESSAGES, max_size=12),
    st.sampled_from([None, *BodyMode]),
    st.sampled_from(BodyMode),
    st.booleans(),
)
def test_whatever_comes_is_answered_or_breaks_a_rule(
    messages: list[Message], request: BodyMode | None, response: BodyMode, refuse: bool
) -> None:
    exchange = FakeExchange(rewrites_response=True)
    talk = Dialogue(ShedError("full") if refuse else exchange, request=request, response=response, limit=50)
    answers: list[Answer] = []
    try:
        for message in messages:
            answers += talk.says(message)
    except ProtocolError:
        pass
    assert len(talk.places) <= 1
    assert exchange.ended <= 1
    ends = [a for a in answers if isinstance(a, ImmediateResponse)]
    assert ends == [] or (len(ends) == 1 and answers[-1] is ends[0] and talk.stream.refusal)
    for phase in Phase:
        assert sum(isinstance(a, StreamedBody) and a.phase is phase and a.end_of_stream for a in answers) <= 1
        assert sum(isinstance(a, HeadersAnswer) and a.phase is phase for a in answers) <= 1


class TestLastWords:
    """Metadata that the exchange has for the end of the answer rides on the message that ends it."""

    WORDS: ClassVar[MetadataMap] = {"envoy.lb": {"cost": 7}}

    def dialogue(self, mode: BodyMode) -> Dialogue:
        dialogue = Dialogue(FakeExchange(last_words=self.WORDS), request=BodyMode.NONE, response=mode)
        dialogue.says(HttpHeaders(Phase.REQUEST, ()))
        return dialogue

    def test_on_the_last_piece(self) -> None:
        dialogue = self.dialogue(BodyMode.FULL_DUPLEX_STREAMED)
        assert dialogue.says(HttpHeaders(Phase.RESPONSE, ()))[0].dynamic_metadata == {}
        assert [one.dynamic_metadata for one in dialogue.says(HttpBody(Phase.RESPONSE, b"a"))] == [{}]
        answers = dialogue.says(HttpBody(Phase.RESPONSE, b"x" * 100_000, True))
        assert [one.dynamic_metadata for one in answers] == [{}, self.WORDS]

    @pytest.mark.parametrize("mode", [BodyMode.STREAMED, BodyMode.BUFFERED])
    def test_on_the_answer_to_the_last_piece(self, mode: BodyMode) -> None:
        dialogue = self.dialogue(mode)
        dialogue.says(HttpHeaders(Phase.RESPONSE, ()))
        [answer] = dialogue.says(HttpBody(Phase.RESPONSE, b"a", True))
        assert answer.dynamic_metadata == self.WORDS

    def test_on_headers_that_are_all(self) -> None:
        [answer] = self.dialogue(BodyMode.FULL_DUPLEX_STREAMED).says(HttpHeaders(Phase.RESPONSE, (), True))
        assert answer.dynamic_metadata == self.WORDS

    def test_on_trailers(self) -> None:
        dialogue = self.dialogue(BodyMode.FULL_DUPLEX_STREAMED)
        dialogue.says(HttpHeaders(Phase.RESPONSE, ()))
        dialogue.says(HttpBody(Phase.RESPONSE, b"a"))
        [answer] = dialogue.says(HttpTrailers(Phase.RESPONSE))
        assert answer.dynamic_metadata == self.WORDS
