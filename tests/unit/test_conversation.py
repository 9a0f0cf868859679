"""One stream from end to end: messages of Envoy in, answers out, and nothing held when it is over."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.conversation import Conversation
from epp.director import Director
from epp.errors import ProtocolError
from epp.extproc.answers import BODY_PIECE_BYTES
from epp.extproc.exchange import Place
from epp.placement import Placement
from epp.types import Rewrite, RewriteTarget
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
    StreamedBody,
    TrailersAnswer,
)
from tests.pickers import Picker, at_once, body_of, load_header
from tests.pools import address, load

REQUEST, RESPONSE = Phase.REQUEST, Phase.RESPONSE
POST: HeaderList = ((":method", "POST"), (":path", "/v1/completions"), ("x-request-id", "r-7"))
GET: HeaderList = ((":method", "GET"), (":path", "/v1/models"), ("x-request-id", "r-7"))
OK: HeaderList = ((":status", "200"), ("content-type", "application/json"))
CANARY = Rewrite("canary", ("alias",), (RewriteTarget("base"),))
ANSWER = b'{"model": "base", "usage": {"prompt_tokens": 11, "completion_tokens": 5}}'


def tell(conversation: Conversation, *messages: Message) -> list[Answer]:
    return [answer for message in messages for answer in at_once(conversation.receive(message))]


def request_phase(*pieces: bytes, headers: HeaderList = POST, context: Context = NO_CONTEXT) -> list[Message]:
    """Headers and the pieces of a body, the last of which says so."""
    bodies = [HttpBody(REQUEST, piece, end_of_stream=False) for piece in pieces[:-1]]
    bodies += [HttpBody(REQUEST, piece, end_of_stream=True) for piece in pieces[-1:]]
    return [HttpHeaders(REQUEST, headers, not pieces, context), *bodies]


def response_phase(*pieces: bytes, headers: HeaderList = OK) -> list[Message]:
    bodies = [HttpBody(RESPONSE, piece, end_of_stream=False) for piece in pieces[:-1]]
    bodies += [HttpBody(RESPONSE, piece, end_of_stream=True) for piece in pieces[-1:]]
    return [HttpHeaders(RESPONSE, headers, not pieces), *bodies]


def counted(picker: Picker) -> dict[str, float]:
    """Refusals by their reason."""
    refused = {name: n for name, n in picker.samples().items() if name.startswith("epp_refused_total")}
    return {name.split('"')[1]: n for name, n in refused.items()}


def joined(answers: Sequence[Answer], phase: Phase) -> bytes:
    """The body that the streamed answers of a phase make up."""
    pieces = [answer for answer in answers if isinstance(answer, StreamedBody) and answer.phase is phase]
    assert [piece.end_of_stream for piece in pieces] == [False] * (len(pieces) - 1) + [True] * bool(pieces)
    assert all(len(piece.data) <= BODY_PIECE_BYTES for piece in pieces)
    return b"".join(piece.data for piece in pieces)


class TestARequest:
    def test_from_its_headers_to_the_end_of_its_answer(self) -> None:
        picker = Picker(load(3, 0.2), load(0, 0.1))
        conversation = picker.conversation()
        assert repr(conversation) == "<Conversation <Stream request=idle response=idle body=0B> None>"
        assert tell(conversation, HttpHeaders(REQUEST, POST)) == []
        head, body = tell(conversation, HttpBody(REQUEST, body_of(), end_of_stream=True))
        assert head == HeadersAnswer(
            REQUEST,
            HeaderMutation(
                (
                    ("x-gateway-destination-endpoint", address(1)),
                    ("Content-Length", str(len(body_of()))),
                    ("endpoint-load-metrics-format", "TEXT"),
                )
            ),
            clear_route_cache=True,
            dynamic_metadata={"envoy.lb": {"x-gateway-destination-endpoint": address(1)}},
        )
        assert body == StreamedBody(REQUEST, body_of(), end_of_stream=True)
        assert picker.in_flight(1) == 1

        told = HttpHeaders(RESPONSE, (*OK, load_header(2, 0.25)))
        assert tell(conversation, told) == [
            HeadersAnswer(
                RESPONSE,
                HeaderMutation((("x-went-into-resp-headers", "true"),), ("endpoint-load-metrics",)),
            )
        ]
        assert picker.store.candidates(None, picker.clock()).waiting.tolist() == [3, 2]
        assert tell(conversation, HttpBody(RESPONSE, b"first")) == [StreamedBody(RESPONSE, b"first")]
        assert picker.in_flight(1) == 1
        last = HttpBody(RESPONSE, b"last", end_of_stream=True)
        assert tell(conversation, last) == [StreamedBody(RESPONSE, b"last", end_of_stream=True)]
        assert picker.held == 0, "given back before the stream is closed"
        assert not conversation.ended
        conversation.close()
        assert picker.held == 0

    def test_whose_model_is_rewritten_there_and_back(self) -> None:
        picker = Picker(load(0, 0.1), rewrites=[CANARY])
        conversation = picker.conversation()
        answers = tell(conversation, *request_phase(body_of("alias")), *response_phase(ANSWER))
        assert joined(answers, REQUEST) == body_of("base")
        assert joined(answers, RESPONSE) == ANSWER.replace(b'"base"', b'"alias"')
        head = next(a for a in answers if isinstance(a, HeadersAnswer) and a.phase is RESPONSE)
        assert head.mutation.remove == ("content-length",)

    def test_an_answer_that_rewriting_is_done_with_is_forgotten(self) -> None:
        picker = Picker(load(0, 0.1), rewrites=[CANARY])
        conversation = picker.conversation()
        tell(conversation, *request_phase(body_of("alias")))
        placement = conversation._placement
        assert placement is not None
        assert placement.request_body is None

    def test_a_request_without_a_body(self) -> None:
        picker = Picker(load(3, 0.2), load(0, 0.1))
        conversation = picker.conversation()
        [head] = tell(conversation, *request_phase(headers=GET))
        assert isinstance(head, HeadersAnswer)
        assert dict(head.mutation.set)["x-gateway-destination-endpoint"] == address(1)
        tell(conversation, *response_phase(b"{}"))
        assert picker.held == 0

    def test_the_subset_may_come_with_the_headers_only(self) -> None:
        # The reference loses it there (its issue #2824).
        hint = {"envoy.lb.subset_hint": {"x-gateway-destination-endpoint-subset": [address(0)]}}
        answers = tell(
            Picker(load(3, 0.2), load(0, 0.1)).conversation(),
            *request_phase(body_of(), context=Context(metadata=hint)),
        )
        assert isinstance(answers[0], HeadersAnswer)
        assert answers[0].dynamic_metadata == {"envoy.lb": {"x-gateway-destination-endpoint": address(0)}}


class TestRefusals:
    def test_the_answer_is_immediate_and_the_last(self) -> None:
        picker = Picker()
        conversation = picker.conversation()
        [answer] = tell(conversation, *request_phase(body_of()))
        assert isinstance(answer, ImmediateResponse)
        assert answer.status == 503
        assert dict(answer.headers) == {
            "content-type": "application/json",
            "x-inference-error-reason": "no_endpoint",
            "retry-after": "1",
        }
        assert json.loads(answer.body) == {
            "error": {
                "message": "failed to find endpoint candidates for serving the request",
                "type": "service_unavailable_error",
                "code": 503,
            }
        }
        assert conversation.ended
        assert tell(conversation, *response_phase(b"too late")) == []
        conversation.close()
        assert picker.held == 0
        assert counted(picker) == {"no_endpoint": 1}

    def test_a_body_over_the_limit(self) -> None:
        picker = Picker(load(0, 0.1), max_request_bytes=10)
        [answer] = tell(picker.conversation(), *request_phase(b"12345", b"678901"))
        assert isinstance(answer, ImmediateResponse)
        assert answer.status == 413
        assert picker.held == 0
        assert counted(picker) == {"too_large": 1}

    def test_a_fault_of_ours_is_an_answer_too(self, caplog: pytest.LogCaptureFixture) -> None:
        picker = Picker(load(0, 0.1), rewrites=[Rewrite("broken", (), ())])
        conversation = picker.conversation()
        [answer] = tell(conversation, *request_phase(body_of()))
        assert isinstance(answer, ImmediateResponse)
        assert answer.status == 500
        [record] = caplog.records
        assert record.message.startswith("placing a request failed with ")
        conversation.close()
        assert picker.held == 0
        assert b"IndexError" not in answer.body
        assert counted(picker) == {"internal": 1}


class TestStreamsAreCounted:
    @pytest.mark.parametrize(
        ("said", "outcome"),
        [
            ([], "not placed"),
            ([HttpHeaders(REQUEST, POST)], "not placed"),
            (request_phase(b"{"), "refused"),
            (request_phase(body_of()), "cut off"),
            ([*request_phase(body_of()), HttpHeaders(RESPONSE, OK), HttpBody(RESPONSE, b"half")], "cut off"),
            ([*request_phase(body_of()), *response_phase(b"all")], "answered"),
        ],
    )
    def test_once_by_what_ended_them(self, said: list[Message], outcome: str) -> None:
        picker = Picker(load(0, 0.1))
        conversation = picker.conversation()
        assert picker.samples()["epp_streams_open"] == 1
        tell(conversation, *said)
        conversation.close()
        conversation.close()
        streams = {name: n for name, n in picker.samples().items() if name.startswith("epp_streams")}
        assert streams == {f'epp_streams_total{{outcome="{outcome}"}}': 1}

    def test_first_token_and_bytes_of_a_stream_of_events(self) -> None:
        picker = Picker(load(0, 0.1))
        conversation = picker.conversation()
        tell(conversation, *request_phase(body_of()))
        picker.clock.now += 0.25
        events: HeaderList = ((":status", "200"), ("content-type", "text/event-stream; charset=utf-8"))
        tell(conversation, HttpHeaders(RESPONSE, events), HttpBody(RESPONSE, b"data: 1\n\n"))
        picker.clock.now += 1
        usage = b'data: {"usage": {"prompt_tokens": 3, "completion_tokens": 5}}\n\n'
        tell(conversation, HttpBody(RESPONSE, usage, end_of_stream=True))
        samples = picker.samples()
        models = 'model_name="base",target_model_name="base"'
        assert samples[f"inference_objective_request_ttft_seconds_sum{{{models}}}"] == 0.25
        assert samples[f"inference_objective_request_tpot_seconds_sum{{{models}}}"] == 0.25
        assert samples['epp_body_bytes_total{direction="request"}'] == len(body_of())
        assert samples['epp_body_bytes_total{direction="response"}'] == len(b"data: 1\n\n" + usage)


class TestGivenBack:
    """Whatever ends the stream."""

    @pytest.mark.parametrize(
        "after",
        [
            [],
            [HttpHeaders(RESPONSE, OK)],
            [HttpHeaders(RESPONSE, OK), HttpBody(RESPONSE, b"half")],
            [HttpHeaders(RESPONSE, OK, end_of_stream=True)],
            [HttpHeaders(RESPONSE, OK), HttpBody(RESPONSE, b"all", end_of_stream=True)],
            [HttpHeaders(RESPONSE, OK), HttpBody(RESPONSE, b"all"), HttpTrailers(RESPONSE)],
        ],
        ids=["no answer", "headers", "half an answer", "no body", "body", "trailers"],
    )
    def test_on_close(self, after: list[Message]) -> None:
        picker = Picker(load(0, 0.1))
        conversation = picker.conversation()
        tell(conversation, *request_phase(body_of()))
        assert picker.held
        tell(conversation, *after)
        conversation.close()
        conversation.close()
        assert picker.held == 0

    def test_on_a_broken_rule(self) -> None:
        picker = Picker(load(0, 0.1))
        conversation = picker.conversation()
        tell(conversation, *request_phase(body_of()))
        with pytest.raises(ProtocolError):
            tell(conversation, HttpBody(RESPONSE, b"without headers"))
        conversation.close()
        assert picker.held == 0

    def test_on_a_fault_of_ours_in_the_answer(self) -> None:
        picker = Picker(load(0, 0.1))
        conversation = picker.conversation()
        tell(conversation, *request_phase(body_of()))
        picker.poller.loads = ()  # type: ignore[assignment]  # telling it of a load fails
        with pytest.raises(AttributeError):
            tell(conversation, HttpHeaders(RESPONSE, (*OK, load_header(2, 0.25))))
        conversation.close()
        assert picker.held == 0

    async def test_on_cancel_while_placing(self) -> None:
        class Waiting(Director):
            """A director that has something to wait for, as a queue will be."""

            reached = asyncio.Event()

            async def place(self, asked: Place, received_at: float) -> Placement:
                self.reached.set()
                await asyncio.Event().wait()
                return await super().place(asked, received_at)

        picker = Picker(load(0, 0.1), director=Waiting)
        conversation = picker.conversation()
        await conversation.receive(HttpHeaders(REQUEST, POST))
        last = conversation.receive(HttpBody(REQUEST, body_of(), end_of_stream=True))
        task = asyncio.create_task(last, name="conversation")
        await Waiting.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        conversation.close()
        assert picker.held == 0

    def test_one_streams_end_is_not_anothers(self) -> None:
        picker = Picker(load(0, 0.1))
        one, two = picker.conversation(), picker.conversation()
        for conversation in (one, two):
            tell(conversation, *request_phase(body_of()))
        one.close()
        assert picker.in_flight(0) == 1
        two.close()
        assert picker.held == 0


def cut(data: bytes, places: list[float]) -> list[bytes]:
    """`data` cut at these fractions of its length; pieces may be empty."""
    ends = [0, *sorted(int(place * len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


places = st.lists(st.floats(0, 1), max_size=12)
sizes = st.sampled_from([1, 500, BODY_PIECE_BYTES, 3 * BODY_PIECE_BYTES])


class TestAnyChunking:
    @given(sizes, places, st.sampled_from(["alias", "base"]))
    def test_of_a_request_gives_the_same_decision_and_the_same_bytes(
        self, size: int, places: list[float], model: str
    ) -> None:
        body = body_of(model, "x" * size, note='"model": "alias"')
        outcomes = []
        for pieces in ([body], cut(body, places)):
            picker = Picker(load(3, 0.2), load(0, 0.1), rewrites=[CANARY])
            answers = tell(picker.conversation(), *request_phase(*pieces))
            outcomes.append((answers[0], joined(answers, REQUEST), picker.decisions.latest(1)))
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][1] == body_of("base", "x" * size, note='"model": "alias"')

    @given(sizes, places, st.sampled_from(["alias", "base"]))
    def test_of_an_answer_gives_the_same_bytes_and_the_same_count(
        self, size: int, places: list[float], model: str
    ) -> None:
        body = b'{"text": "%s", "model": "base", ' % (b"x" * size) + ANSWER[1:]
        outcomes = []
        for pieces in ([body], cut(body, places)):
            picker = Picker(load(0, 0.1), rewrites=[CANARY])
            conversation = picker.conversation()
            tell(conversation, *request_phase(body_of(model)))
            answers = tell(conversation, *response_phase(*pieces))
            counted = {name: value for name, value in picker.samples().items() if "tokens" in name}
            outcomes.append((joined(answers, RESPONSE), counted))
            assert picker.held == 0
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][0] == body.replace(b'"model": "base"', b'"model": "%s"' % model.encode())
        assert outcomes[0][1]


# What Envoy may say, lawful or not -----------------------------------------------------------------------

MODES = [mode for mode in BodyMode if mode is not BodyMode.GRPC]

contents = st.sampled_from(
    [body_of(), body_of("alias"), body_of()[:9], body_of()[9:], b"", b"{", ANSWER, ANSWER[:30]]
)
headers = st.sampled_from(
    [
        POST,
        GET,
        OK,
        (),
        (*POST, ("x-gateway-inference-objective", "batch")),
        (*OK, load_header(1, 0.5)),
        (*OK, ("content-encoding", "gzip")),
        ((":status", "503"), (":status", "?")),
    ]
)
metadata = st.sampled_from(
    [
        {},
        {"envoy.lb.subset_hint": {"x-gateway-destination-endpoint-subset": address(0)}},
        {"envoy.lb.subset_hint": {"x-gateway-destination-endpoint-subset": [7, None]}},
        {"envoy.lb": {"x-gateway-destination-endpoint-served": address(1)}},
        {"envoy.lb": {"x-gateway-destination-endpoint-served": [address(1)]}},
    ]
)
protocols = st.builds(ProtocolConfig, st.sampled_from(list(BodyMode)), st.sampled_from(list(BodyMode)))
contexts = st.just(NO_CONTEXT) | st.builds(Context, metadata, st.just({}), st.none() | protocols)
phases = st.sampled_from([REQUEST, RESPONSE])
messages = (
    st.builds(HttpHeaders, phases, headers, st.booleans(), contexts)
    | st.builds(HttpBody, phases, contents, st.booleans(), contexts)
    | st.builds(HttpTrailers, phases, contexts)
)


@st.composite
def lawful(draw: st.DrawFn) -> list[Message]:
    """A whole exchange in any pair of modes, with trailers or without."""
    request, response = draw(st.sampled_from(MODES)), draw(st.sampled_from(MODES))
    said: list[Message] = [
        *lawful_phase(draw, REQUEST, request, draw(st.sampled_from([POST, GET])), body_of("alias")),
        *lawful_phase(draw, RESPONSE, response, (*OK, load_header(1, 0.5)), ANSWER),
    ]
    first = said[0]
    assert isinstance(first, HttpHeaders)
    told = Context(protocol=ProtocolConfig(request, response))
    return [HttpHeaders(first.phase, first.headers, first.end_of_stream, told), *said[1:]]


def lawful_phase(
    draw: st.DrawFn, phase: Phase, mode: BodyMode, headers: HeaderList, body: bytes
) -> list[Message]:
    if draw(st.booleans()) and draw(st.booleans()):
        return [HttpHeaders(phase, headers, end_of_stream=True)]
    trailers = draw(st.booleans())
    pieces = [body]
    if mode in (BodyMode.STREAMED, BodyMode.FULL_DUPLEX_STREAMED):
        pieces = cut(body, draw(places))
    bodies: list[Message] = []
    if mode is not BodyMode.NONE:
        bodies = [HttpBody(phase, piece) for piece in pieces]
        if not trailers:
            bodies[-1] = HttpBody(phase, pieces[-1], end_of_stream=True)
    return [HttpHeaders(phase, headers), *bodies, *([HttpTrailers(phase)] if trailers else [])]


def run(picker: Picker, said: Sequence[Message]) -> list[Answer]:
    """What a transport does with a stream; nothing may wait, and nothing may be held at the end."""
    conversation = picker.conversation()
    answers: list[Answer] = []
    try:
        for message in said:
            answers += tell(conversation, message)
            if conversation.ended:
                assert isinstance(answers[-1], ImmediateResponse)
                assert answers[-1].status < 500 or answers[-1].status == 503
                break
    except ProtocolError:
        pass
    finally:
        conversation.close()
    assert picker.held == 0
    return answers


def fresh_picker() -> Picker:
    return Picker(
        load(3, 0.2, "base"),  # so that an adapter is in flight, too
        load(9, 0.9),
        objectives={"batch": -1},
        rewrites=[CANARY],
        max_request_bytes=500,
    )


class TestAnySequence:
    @given(st.lists(messages, max_size=10))
    def test_of_any_messages(self, said: list[Message]) -> None:
        run(fresh_picker(), said)

    @given(lawful(), st.randoms(use_true_random=False), st.integers(1, 4))
    def test_that_was_lawful_until_somebody_shuffled_it(
        self, said: list[Message], chance: random.Random, times: int
    ) -> None:
        for _ in range(times):
            index = chance.randrange(len(said))
            if chance.random() < 0.5:
                said.insert(index, chance.choice(said))
            elif len(said) > 1:
                del said[index]
        run(fresh_picker(), said)

    @given(lawful(), st.integers(0, 20))
    def test_that_breaks_off(self, said: list[Message], after: int) -> None:
        run(fresh_picker(), said[:after])

    @given(lawful())
    def test_that_is_lawful_gets_each_answer_that_envoy_waits_for(self, said: list[Message]) -> None:
        answers = run(fresh_picker(), said)
        protocol = said[0].context.protocol
        assert protocol is not None
        for phase, mode in ((REQUEST, protocol.request_body_mode), (RESPONSE, protocol.response_body_mode)):
            asked = [type(message) for message in said if message.phase is phase]
            answered = [answer for answer in answers if not isinstance(answer, ImmediateResponse)]
            kinds = [type(answer) for answer in answered if answer.phase is phase]
            trailers = asked.count(HttpTrailers)
            assert kinds[0] is HeadersAnswer
            bodies = kinds[1 : len(kinds) - trailers]
            assert kinds[len(kinds) - trailers :] == [TrailersAnswer] * trailers
            if mode is BodyMode.FULL_DUPLEX_STREAMED:
                assert set(bodies) == ({StreamedBody} if HttpBody in asked else set())
            else:
                assert bodies == [BodyAnswer] * asked.count(HttpBody)
