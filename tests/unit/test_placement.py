"""A placed request: its answer's status, server, load, tokens and model name."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from epp.datastore.endpoints import Endpoint
from epp.parse.usage import UsageScanner
from epp.placement import Outcome, Placement
from epp.plugin import Response
from epp.scheduling.decision import Decision
from epp.scheduling.observers import NamedPlugin, Observers
from epp.types import InferenceRequest, LoadSample, Usage
from epp.wire.messages import NO_CONTEXT, NO_MUTATION, Context, HeaderList, HeaderMutation, MetadataMap
from tests.pickers import load_header
from tests.pools import address, endpoint, request, store_of

OK = (":status", "200")
LOAD = load_header(3, 0.25)
TAKEN_OUT = HeaderMutation(remove=("endpoint-load-metrics",))


@dataclass
class Answered:
    """A placement on the first of three endpoints, `picks` of them picked, and what it told of itself."""

    asked_model: str = "base"
    target_model: str = "base"
    client_asks_load: bool = False
    picks: int = 3
    explain: str = ""
    plugins: list[object] = field(default_factory=list)
    loads: list[tuple[str, LoadSample]] = field(default_factory=list)
    ended: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = store_of(None, None, None)
        asked = request(model=self.asked_model, target=self.target_model)
        if self.client_asks_load:
            asked.headers = {"endpoint-load-metrics-format": "JSON"}
        if self.explain:
            asked.headers = {"x-epp-explain": self.explain}
        self.placement = Placement(
            asked,
            self._decision(),
            self.store.reserve(endpoint(self.store, 0), 10, self.target_model),
            metadata={},
            observers=Observers([NamedPlugin("plugin", "a-plugin", each) for each in self.plugins]),
            usage_reader=UsageScanner(),
            request_mutation=NO_MUTATION,
            request_body=None,
            clock=lambda: 0.0,
            on_load=self._told,
            on_ended=lambda placement: self.ended.append(placement.outcome),
        )

    def _decision(self) -> Decision:
        picked = tuple(endpoint(self.store, number) for number in range(self.picks))
        slots = np.array([one.slot for one in picked])
        return Decision(
            "p",
            picked,
            slots,
            self.store.endpoints.by_slot,
            (),
            np.empty((0, self.picks)),
            {},
            np.zeros(self.picks),
        )

    def _told(self, server: Endpoint, sample: LoadSample) -> None:
        self.loads.append((server.spec.name, sample))

    def headers(self, *headers: tuple[str, str], context: Context = NO_CONTEXT) -> HeaderMutation:
        return self.placement.response_headers(headers, context)

    def in_flight(self) -> list[int]:
        return [int(self.store.endpoints.in_flight[endpoint(self.store, n).slot]) for n in range(3)]


def served(value: object) -> Context:
    """What a gateway says that keeps to the protocol."""
    return Context(metadata={"envoy.lb": {"x-gateway-destination-endpoint-served": value}})


def upstream(value: str) -> Context:
    """What a plain Envoy says that is asked for its upstream address."""
    return Context(attributes={"envoy.filters.http.ext_proc": {"upstream.address": value}})


def test_the_destination_names_fallbacks_in_order() -> None:
    assert Answered().placement.destination == "192.168.1.1:8000,192.168.1.2:8000,192.168.1.3:8000"


class TestStatus:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ((OK,), 200),
            (((":status", "503"),), 503),
            ((), 0),
            (((":status", ""),), 0),
            (((":status", "ok"),), 0),
            (((":status", "-20"),), 0),
            (((":status", "9" * 10_000),), 0),
            ((("status", "200"),), 0),  # no such header, though the reference reads it
        ],
    )
    def test_status(self, headers: HeaderList, status: int) -> None:
        answered = Answered()
        answered.headers(*headers)
        assert answered.placement.outcome.status == status


class TestServer:
    @pytest.mark.parametrize(
        ("context", "in_flight"),
        [
            (NO_CONTEXT, [1, 0, 0]),
            (served(address(0)), [1, 0, 0]),
            (served(address(1)), [0, 1, 0]),
            (upstream(address(2)), [0, 0, 1]),
            (served("192.168.1.99:8000"), [1, 0, 0]),
            (served(8000), [1, 0, 0]),
            (served(""), [1, 0, 0]),
        ],
    )
    def test_the_reservation_follows_the_one_that_serves(
        self, context: Context, in_flight: list[int]
    ) -> None:
        answered = Answered()
        answered.headers(OK, context=context)
        assert answered.in_flight() == in_flight

    def test_it_follows_to_one_that_was_not_picked(self) -> None:
        answered = Answered(picks=1)
        answered.headers(OK, LOAD, context=upstream(address(2)))
        assert answered.in_flight() == [0, 0, 1]
        assert answered.loads == [("pod-2", LoadSample(waiting=3, kv_usage=0.25))]

    def test_metadata_goes_before_the_attribute(self) -> None:
        answered = Answered()
        both = Context(served(address(1)).metadata, upstream(address(2)).attributes)
        answered.headers(OK, context=both)
        assert answered.in_flight() == [0, 1, 0]


class TestLoad:
    @pytest.mark.parametrize(
        ("context", "server"),
        [(NO_CONTEXT, "pod-0"), (served(address(0)), "pod-0"), (served(address(2)), "pod-2")],
    )
    def test_it_is_the_servers(self, context: Context, server: str) -> None:
        answered = Answered()
        answered.headers(OK, LOAD, context=context)
        assert answered.loads == [(server, LoadSample(waiting=3, kv_usage=0.25))]

    def test_of_a_server_that_nobody_knows_it_says_nothing_of_those_that_were_picked(self) -> None:
        answered = Answered()
        assert answered.headers(OK, LOAD, context=served("192.168.1.99:8000")) == TAKEN_OUT
        assert answered.loads == []

    def test_the_client_sees_it_only_if_it_asked_itself(self) -> None:
        assert Answered().headers(OK, LOAD) == TAKEN_OUT
        asked = Answered(client_asks_load=True)
        assert asked.headers(OK, LOAD) == NO_MUTATION
        assert asked.loads == [("pod-0", LoadSample(waiting=3, kv_usage=0.25))]

    def test_without_it_nothing_changes(self) -> None:
        answered = Answered()
        assert answered.headers(OK) == NO_MUTATION
        assert answered.loads == []

    def test_one_that_cannot_be_read_is_taken_out_all_the_same(self) -> None:
        answered = Answered()
        assert answered.headers(OK, ("endpoint-load-metrics", "BIN AAAA")) == TAKEN_OUT
        assert answered.loads == []


class TestModelName:
    def test_it_is_written_back_wherever_it_is_cut(self) -> None:
        answer = b'data: {"model": "target", "text": "target"}\n\ndata: [DONE]\n\n'
        expected = answer.replace(b'"model": "target"', b'"model": "asked"')
        for cut in range(len(answer) + 1):
            placement = Answered("asked", "target").placement
            assert placement.rewrites_response
            got = placement.response_body(answer[:cut], False) + placement.response_body(answer[cut:], True)
            assert got == expected

    def test_an_answer_of_the_model_that_was_asked_for_passes(self) -> None:
        placement = Answered().placement
        data = b'{"model": "base"}'
        assert not placement.rewrites_response
        assert placement.response_body(data, True) is data

    @pytest.mark.parametrize(("encoding", "rewritten"), [("gzip", False), ("br", False), ("identity", True)])
    def test_compressed_bytes_are_left_alone(self, encoding: str, rewritten: bool) -> None:
        answered = Answered("asked", "target")
        answered.headers(OK, ("content-encoding", encoding))
        assert answered.placement.rewrites_response is rewritten
        data = b'{"model": "target", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}'
        assert (answered.placement.response_body(data, True) != data) is rewritten
        answered.placement.response_ended()
        assert (answered.ended[0].usage is not None) is rewritten


class TestOutcome:
    def test_what_is_known_at_the_end(self) -> None:
        answered = Answered()
        answered.headers(OK, ("content-type", "text/event-stream"))
        usage = b'data: {"usage": {"prompt_tokens": 11, "completion_tokens": 5}}\n\n'
        chunks = [usage[:20], usage[20:], b"data: [DONE]\n\n"]
        for chunk in chunks:
            answered.placement.response_body(chunk, False)
        assert answered.ended == []
        answered.placement.response_ended()
        assert answered.ended == [
            Outcome(200, sum(map(len, chunks)), Usage(11, 5), complete=True, streams=True, first_piece_at=0.0)
        ]

    def test_an_answer_that_is_cut_off_is_not_complete(self) -> None:
        answered = Answered()
        answered.headers(OK)
        answered.placement.response_body(b"half", False)
        assert answered.placement.outcome == Outcome(200, 4, first_piece_at=0.0)

    def test_sizes_are_the_servers_and_not_the_clients(self) -> None:
        answered = Answered("a much longer name", "target")
        answered.placement.response_body(b'{"model": "target"}', True)
        assert answered.placement.outcome.response_bytes == len(b'{"model": "target"}')


class TestExplain:
    def test_the_reasons_ride_on_the_answer(self) -> None:
        mutation = Answered(explain="1").headers(OK)
        [(name, told)] = mutation.set
        assert name == "x-epp-explain"
        assert json.loads(told)["picked"] == "pod-0"

    @pytest.mark.parametrize("asked", ["", "0", "yes"])
    def test_only_if_they_were_asked_for(self, asked: str) -> None:
        assert Answered(explain=asked).headers(OK).set == ()

    def test_the_load_is_taken_out_all_the_same(self) -> None:
        assert Answered(explain="1").headers(OK, LOAD).remove == TAKEN_OUT.remove


@dataclass
class Curious:
    """Sees answers and what they used."""

    seen: list[Response | Usage] = field(default_factory=list)

    def responded(self, request: InferenceRequest, response: Response) -> HeaderList:
        self.seen.append(response)
        return (("x-seen", request.id),)

    def used(self, request: InferenceRequest, usage: Usage) -> MetadataMap:
        self.seen.append(usage)
        return {"envoy.lb": {"tokens": usage.completion_tokens}}


class TestPlugins:
    def test_they_see_who_answers_and_may_add_headers(self) -> None:
        curious = Curious()
        one = Answered(plugins=[curious])
        assert one.headers(OK, LOAD, context=served(address(2))).set == (("x-seen", "r"),)
        [response] = curious.seen
        assert isinstance(response, Response)
        assert response.endpoint is endpoint(one.store, 2)
        assert response.headers[":status"] == "200"
        assert response.metadata == served(address(2)).metadata

    def test_they_see_what_an_answer_used(self) -> None:
        curious = Curious()
        one = Answered(plugins=[curious])
        one.headers(OK)
        one.placement.response_body(b'{"usage":{"prompt_tokens":5,"completion_tokens":7}}', True)
        assert one.placement.response_ended() == {"envoy.lb": {"tokens": 7}}
        assert curious.seen[1] == Usage(5, 7)

    def test_an_answer_without_usage(self) -> None:
        curious = Curious()
        one = Answered(plugins=[curious])
        one.headers(OK)
        assert one.placement.response_ended() == {}
        assert len(curious.seen) == 1


@dataclass
class Timed:
    """Sees when answers begin and end."""

    seen: list[tuple[str, str, float]] = field(default_factory=list)

    def first_token(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        self.seen.append(("begins", endpoint.spec.name, now))

    def ended(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        self.seen.append(("over", endpoint.spec.name, now))


STREAM = ("content-type", "text/event-stream; charset=utf-8")


class TestTimes:
    def test_the_first_piece_of_a_stream_is_told_once_and_the_end(self) -> None:
        timed = Timed()
        one = Answered(plugins=[timed])
        one.headers(OK, STREAM)
        one.placement.response_body(b"", False)
        assert timed.seen == [], "nothing came yet"
        one.placement.response_body(b"data: 1", False)
        one.placement.response_body(b"data: 2", True)
        one.placement.give_back()
        assert timed.seen == [("begins", "pod-0", 0.0), ("over", "pod-0", 0.0)]
        assert one.store.endpoints.in_flight.sum() == 0

    def test_of_the_endpoint_that_serves(self) -> None:
        timed = Timed()
        one = Answered(plugins=[timed])
        one.headers(OK, STREAM, context=served(address(2)))
        one.placement.response_body(b"data: 1", True)
        one.placement.give_back()
        assert [name for _, name, _ in timed.seen] == ["pod-2", "pod-2"]

    def test_an_answer_that_is_no_stream_has_no_first_token(self) -> None:
        timed = Timed()
        one = Answered(plugins=[timed])
        one.headers(OK, ("content-type", "application/json"))
        one.placement.response_body(b"{}", True)
        one.placement.give_back()
        assert [what for what, _, _ in timed.seen] == ["over"]

    def test_a_request_that_is_given_up_is_over_too(self) -> None:
        timed = Timed()
        one = Answered(plugins=[timed])
        one.placement.give_back()
        assert timed.seen == [("over", "pod-0", 0.0)]
        assert one.store.endpoints.in_flight.sum() == 0
