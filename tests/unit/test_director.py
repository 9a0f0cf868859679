"""The director: a request in, a placement or a refusal out, and everything given back at the end."""

from __future__ import annotations

import logging
import sys
import uuid
from typing import Any

import pytest

from epp.director import DirectorSettings
from epp.errors import BadRequestError, NoEndpointError, RequestError, ShedError, UnknownPathError
from epp.extproc.exchange import Place
from epp.placement import Placement
from epp.types import Api, Rewrite, RewriteTarget
from epp.wire.messages import NO_CONTEXT, HeaderList, MetadataMap
from tests.pickers import Picker, at_once, body_of, load_header
from tests.pools import NOW, address, endpoint, load, snapshot, spec

POST: HeaderList = ((":method", "POST"), (":path", "/v1/completions"))
GET: HeaderList = ((":method", "GET"), (":path", "/v1/models"))
CANARY = Rewrite("canary", ("alias",), (RewriteTarget("base", 1),))
HELLO = body_of()
MODELS = 'model_name="base",target_model_name="base"'


def subset(*addresses: str) -> MetadataMap:
    return {"envoy.lb.subset_hint": {"x-gateway-destination-endpoint-subset": list(addresses)}}


def asks(
    body: bytes | None = HELLO,
    *headers: tuple[str, str],
    base: HeaderList = POST,
    metadata: MetadataMap | None = None,
    complete: bool = True,
) -> Place:
    return Place((*base, *headers), metadata or {}, body, complete)


def place(picker: Picker, asked: Place | None = None) -> Placement:
    return at_once(picker.director.place(asks() if asked is None else asked, picker.clock()))


def refusal(picker: Picker, asked: Place | None = None) -> RequestError:
    with pytest.raises(RequestError) as refused:
        place(picker, asked)
    assert picker.held == 0
    return refused.value


class TestPlacing:
    def test_the_best_endpoint_is_reserved(self) -> None:
        picker = Picker(load(3, 0.2), load(0, 0.1), load(10, 0.2))
        placement = place(picker)
        assert placement.destination == address(1)
        assert [picker.in_flight(number) for number in range(3)] == [0, 1, 0]
        assert repr(placement) == f"<Placement {placement.request.id} on 192.168.1.2:8000 status=0>"

    def test_what_the_scheduler_is_told(self) -> None:
        picker = Picker(load(0, 0.0), objectives={"gold": 4})
        picker.clock.now = NOW + 2
        headers = [
            ("x-gateway-inference-objective", "gold"),
            ("x-request-id", "r-7"),
            ("via", "a"),
            ("via", "b"),
        ]
        asked = asks(body_of(stream=True, max_tokens=7), *headers, metadata=subset(address(0)))
        request = at_once(picker.director.place(asked, received_at=NOW + 1)).request
        assert (request.id, request.path, request.priority) == ("r-7", "/v1/completions", 4)
        assert (request.body.api, request.body.model, request.body.stream) == (Api.COMPLETIONS, "base", True)
        assert (request.target_model, request.size, request.received_at) == (
            "base",
            len(asked.body or b""),
            NOW + 1,
        )
        assert request.subset == {address(0)}
        assert request.headers["via"] == "b"

    @pytest.mark.parametrize(
        ("headers", "path"),
        [
            (((":path", "/a"), ("x-original-path", "/b"), ("x-forwarded-path", "/c")), "/a"),
            (((":path", ""), ("x-original-path", "/b"), ("x-forwarded-path", "/c")), "/b"),
            ((("x-forwarded-path", "/c"),), "/c"),
            ((), ""),
        ],
    )
    def test_where_the_path_stands(self, headers: HeaderList, path: str) -> None:
        assert place(Picker(None), asks(base=headers)).request.path == path

    def test_a_request_without_a_body_goes_through_the_scheduler_too(self) -> None:
        picker = Picker(load(9, 0.9), load(0, 0.0))
        placement = place(picker, asks(None, base=GET))
        assert placement.destination == address(1)
        assert placement.request.body.api is Api.NONE
        assert picker.in_flight(1) == 1

    def test_a_body_that_is_not_seen_has_the_model_that_the_router_names(self) -> None:
        picker = Picker(load(0, 0.0), load(0, 0.0, "lora", max_lora=2), rewrites=[CANARY])
        placement = place(picker, asks(None, ("x-gateway-model-name", "lora")))
        assert placement.destination == address(1)
        assert picker.decisions.latest(1)[0]["model"] == "lora"

    def test_repeats_of_a_prompt_go_where_it_is_cached(self) -> None:
        picker = Picker(load(0, 0.1), load(0, 0.1), load(0, 0.1))
        placements = [
            place(picker, asks(body_of(prompt=word * 500))) for word in ("a", "b", "c", "a", "b", "c")
        ]
        destinations = [placement.destination for placement in placements]
        assert destinations[:3] == destinations[3:]
        assert len(set(destinations)) == 3

    def test_a_burst_between_two_scrapes_spreads(self) -> None:
        picker = Picker(load(0, 0.1), load(0, 0.1), load(0, 0.1))
        for number in range(30):
            place(picker, asks(body_of(prompt=f"{number} " * 100)))
        assert [picker.in_flight(number) for number in range(3)] == [10, 10, 10]

    @pytest.mark.parametrize(
        ("prompt", "fields", "tokens"),
        [("x" * 400, {"max_tokens": 50}, 150), ("x" * 400, {}, 250), ("x" * 400, {"max_tokens": 0}, 100)],
    )
    def test_the_tokens_that_are_reserved(self, prompt: str, fields: dict[str, Any], tokens: int) -> None:
        picker = Picker(load(0, 0.0))
        place(picker, asks(body_of(prompt=prompt, **fields)))
        assert picker.store.endpoints.in_flight_tokens.sum() == tokens

    def test_the_decision_is_kept(self) -> None:
        picker = Picker(load(3, 0.2), load(0, 0.1))
        place(picker, asks(body_of(), ("x-request-id", "r-7")))
        [told] = picker.decisions.latest(10)
        assert (told["request_id"], told["picked"]) == ("r-7", [address(1)])

    def test_the_poller_hears_of_every_request(self) -> None:
        picker = Picker(load(0, 0.0))
        refusal(picker, asks(b"not json"))
        picker.clock.now += 1
        place(picker)
        assert picker.poller.requests == [NOW, NOW + 1]

    def test_a_placement_does_not_hold_the_body(self) -> None:
        picker = Picker(load(0, 0.0))
        body = body_of(prompt="long " * 1000)
        before = sys.getrefcount(body)
        placement = place(picker, Place(POST, {}, body))
        assert sys.getrefcount(body) == before
        assert placement.request.body.prompt.parts == ()
        assert placement.request.body.model == "base"


class TestMetadata:
    def test_the_destination(self) -> None:
        placement = place(Picker(load(0, 0.0)))
        assert placement.metadata == {"envoy.lb": {"x-gateway-destination-endpoint": address(0)}}

    def test_the_scores_if_the_gateway_should_know_them(self) -> None:
        settings = DirectorSettings(emit_endpoint_scores=True)
        namespace = place(Picker(load(3, 0.5), load(0, 0.0), settings=settings)).metadata["envoy.lb"]
        assert namespace["x-gateway-destination-endpoint"] == address(1)
        scores = namespace["x-gateway-destination-endpoint-scores"]
        assert scores[address(1)] == 1.0  # the best of them
        assert 0.0 < scores[address(0)] < 1.0


class TestSubset:
    @pytest.mark.parametrize(
        ("hint", "destination"),
        [
            (subset(address(0)), address(0)),
            (subset("192.168.1.1"), address(0)),
            ({"envoy.lb.subset_hint": {"x-gateway-destination-endpoint-subset": address(0)}}, address(0)),
            (subset(address(0), address(1)), address(1)),
            ({}, address(1)),
            ({"envoy.lb.subset_hint": {}}, address(1)),
        ],
    )
    def test_only_endpoints_of_the_subset(self, hint: MetadataMap, destination: str) -> None:
        picker = Picker(load(3, 0.2), load(0, 0.1))
        assert place(picker, asks(metadata=hint)).destination == destination
        assert place(picker, asks(None, base=GET, metadata=hint)).destination == destination

    @pytest.mark.parametrize("hint", [subset("192.168.1.99:8000"), subset()])
    def test_a_subset_of_nothing_has_no_endpoint(self, hint: MetadataMap) -> None:
        picker = Picker(load(3, 0.2))
        assert isinstance(refusal(picker, asks(metadata=hint)), NoEndpointError)
        assert isinstance(refusal(picker, asks(None, base=GET, metadata=hint)), NoEndpointError)

    def test_it_can_be_ignored(self) -> None:
        picker = Picker(load(3, 0.2), settings=DirectorSettings(ignore_subset=True))
        assert place(picker, asks(metadata=subset("192.168.1.99:8000"))).destination == address(0)


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "status", "reason", "message"),
        [
            (b"no healthy upstream", 400, "bad_json", "error unmarshaling request body"),
            (b"", 400, "bad_json", "error unmarshaling request body"),
            (b'{"prompt": "hello"}', 400, "no_model", "model not found in request body"),
            (b'{"model": 7, "prompt": "hello"}', 400, "no_model", "model not found in request body"),
            (b'{"model": "m"}', 400, "bad_shape", "invalid completions request: must have prompt field"),
        ],
    )
    def test_bodies(self, body: bytes, status: int, reason: str, message: str) -> None:
        picker = Picker(load(0, 0.0))
        error = refusal(picker, asks(body))
        assert isinstance(error, BadRequestError)
        assert (error.status, error.reason) == (status, reason)
        assert error.message.startswith(message)
        assert picker.samples()[f'epp_refused_total{{reason="{reason}"}}'] == 1

    def test_unknown_paths_if_asked_to_be_strict(self) -> None:
        other: HeaderList = ((":path", "/v1/other"),)
        assert place(Picker(None), asks(base=other)).request.body.api is Api.OTHER
        strict = Picker(None, settings=DirectorSettings(strict_paths=True))
        assert isinstance(refusal(strict, asks(base=other)), UnknownPathError)
        assert place(strict).request.body.api is Api.COMPLETIONS

    def test_no_endpoint(self) -> None:
        error = refusal(Picker())
        assert isinstance(error, NoEndpointError)
        assert error.message == "failed to find endpoint candidates for serving the request"
        assert (error.status, error.retry_after) == (503, 1)

    def test_no_endpoint_is_ready(self) -> None:
        picker = Picker(load(0, 0.0))
        picker.store.apply(snapshot(spec(0, ready=False)))
        assert isinstance(refusal(picker), NoEndpointError)

    @pytest.mark.parametrize(
        ("objective", "loads", "shed"),
        [
            ("batch", [load(9, 0.9)], True),
            ("batch", [load(0, 0.0)], False),
            ("batch", [None], True),
            ("gold", [load(9, 0.9)], False),
            ("unknown", [load(9, 0.9)], False),
            ("", [load(9, 0.9)], False),
        ],
    )
    def test_shedding(self, objective: str, loads: list[Any], shed: bool) -> None:
        picker = Picker(*loads, objectives={"gold": 1, "batch": -1})
        asked = asks(body_of(), ("x-gateway-inference-objective", objective))
        if shed:
            error = refusal(picker, asked)
            assert isinstance(error, ShedError)
            assert (error.status, error.retry_after) == (429, 1)
        else:
            assert place(picker, asked).destination == address(0)

    def test_a_refusal_is_no_decision(self) -> None:
        picker = Picker()
        refusal(picker)
        assert picker.decisions.latest(10) == []


class TestRewriting:
    def test_by_header(self) -> None:
        asked = asks(body_of("alias"), ("x-gateway-model-name-rewrite", "base-2"))
        placement = place(Picker(None), asked)
        assert placement.request.target_model == "base-2"
        assert placement.request_body == body_of("base-2")
        assert placement.rewrites_response

    def test_by_rule(self) -> None:
        picker = Picker(None, rewrites=[CANARY])
        placement = place(picker, asks(body_of("alias")))
        assert (placement.request.body.model, placement.request.target_model) == ("alias", "base")
        assert placement.request_body == body_of("base")
        rewritten = 'model_rewrite_name="canary",model_name="alias",target_model="base"'
        assert picker.samples()[f"inference_extension_model_rewrite_decisions_total{{{rewritten}}}"] == 1

    def test_a_rule_beats_the_header(self) -> None:
        asked = asks(body_of("alias"), ("x-gateway-model-name-rewrite", "other"))
        assert place(Picker(None, rewrites=[CANARY]), asked).request.target_model == "base"

    def test_only_the_names_bytes_change(self) -> None:
        body = b'{ "prompt":"\\u0041 <x> & 1e21",\n "seed": 9007199254740993, "model" : "alias" , "seed": 1 }'
        placement = place(Picker(None, rewrites=[CANARY]), asks(body))
        assert placement.request_body == body.replace(b'"alias"', b'"base"')

    @pytest.mark.parametrize("headers", [[], [("x-gateway-model-name-rewrite", "base")]])
    def test_a_body_that_stays_is_not_touched(self, headers: list[tuple[str, str]]) -> None:
        placement = place(Picker(None), asks(body_of("base"), *headers))
        assert placement.request_body is None
        assert not placement.rewrites_response

    def test_a_body_that_is_not_seen_is_not_rewritten(self) -> None:
        picker = Picker(None, rewrites=[CANARY])
        headers = [("x-gateway-model-name", "alias"), ("x-gateway-model-name-rewrite", "other")]
        placement = place(picker, asks(None, *headers))
        assert placement.request.target_model == "alias"
        assert placement.request_body is None
        assert not placement.rewrites_response
        assert not any("rewrite" in name for name in picker.samples())

    def test_the_first_part_of_a_body_is_rewritten_if_the_name_is_in_it(self) -> None:
        picker = Picker(None, rewrites=[CANARY])
        part = b'{"model": "alias", "prompt": "a long'
        placement = place(picker, asks(part, complete=False))
        assert placement.request_body == b'{"model": "base", "prompt": "a long'
        placement = place(picker, asks(b'{"prompt": "a long', complete=False))
        assert placement.request_body is None

    def test_the_endpoint_with_the_target_adapter_is_found(self) -> None:
        rule = Rewrite("r", ("alias",), (RewriteTarget("lora"),))
        picker = Picker(load(0, 0.0, max_lora=2), load(0, 0.0, "lora", max_lora=2), rewrites=[rule])
        assert place(picker, asks(body_of("alias"))).destination == address(1)
        assert picker.store.adapters.shelves[endpoint(picker.store, 1).slot].in_flight == {"lora": 1}


class TestHeaders:
    def test_a_request_id_is_made_where_there_is_none(self) -> None:
        picker = Picker(None)
        one, two = place(picker), place(picker, asks(body_of(), ("x-request-id", "")))
        for placement in (one, two):
            assert ("x-request-id", placement.request.id) in placement.request_mutation.set
            assert uuid.UUID(placement.request.id).version == 4
        assert one.request.id != two.request.id

    def test_a_request_id_that_came_stays(self) -> None:
        placement = place(Picker(None), asks(body_of(), ("x-request-id", "r-7")))
        assert "x-request-id" not in dict(placement.request_mutation.set)

    def test_the_endpoint_is_asked_for_its_load(self) -> None:
        asked_by_us = place(Picker(None))
        assert ("endpoint-load-metrics-format", "TEXT") in asked_by_us.request_mutation.set
        asked_by_client = place(Picker(None), asks(body_of(), ("endpoint-load-metrics-format", "JSON")))
        assert "endpoint-load-metrics-format" not in dict(asked_by_client.request_mutation.set)

    def test_control_headers_are_taken_out_where_they_came(self) -> None:
        controls = (
            "x-gateway-inference-objective",
            "x-gateway-inference-fairness-id",
            "x-gateway-model-name-rewrite",
            "x-gateway-destination-endpoint-subset",
            "x-gateway-destination-endpoint-served",
        )
        placement = place(Picker(None), asks(body_of(), *((name, "base") for name in controls)))
        assert sorted(placement.request_mutation.remove) == sorted(controls)
        assert place(Picker(None)).request_mutation.remove == ()


class TestFinishing:
    def test_everything_is_given_back_once(self) -> None:
        picker = Picker(load(0, 0.0, "lora", max_lora=2))
        one, two = place(picker, asks(body_of("lora"))), place(picker)
        assert picker.in_flight(0) == 2
        picker.director.finish(one)
        picker.director.finish(one)
        assert picker.in_flight(0) == 1
        picker.director.finish(two)
        assert picker.held == 0
        assert repr(two) == f"<Placement {two.request.id} on 192.168.1.1:8000 finished>"

    def test_after_its_endpoint_left(self) -> None:
        picker = Picker(load(0, 0.0))
        placement = place(picker)
        picker.store.apply(snapshot(spec(1)))
        picker.director.finish(placement)
        assert picker.held == 0


class TestMetrics:
    def test_a_request_from_placing_to_its_end(self) -> None:
        picker = Picker(load(0, 0.0), objectives={"gold": 2})
        placement = place(picker, asks(body_of(), ("x-gateway-inference-objective", "gold")))
        samples = picker.samples()
        assert samples[f'inference_objective_request_total{{{MODELS},priority="2"}}'] == 1
        assert samples[f"inference_objective_request_sizes_sum{{{MODELS}}}"] == len(body_of())
        assert samples['inference_objective_running_requests{model_name="base"}'] == 1
        attempt = 'status="success",target_model_name="base",pod_name="pod-0",namespace="default",port="8000"'
        assert samples[f"inference_extension_scheduler_attempts_total{{{attempt}}}"] == 1

        picker.clock.now += 1.5
        usage = b'{"usage": {"prompt_tokens": 11, "completion_tokens": 5}}'
        placement.response_headers(((":status", "200"),), NO_CONTEXT)
        placement.response_body(usage, True)
        placement.response_ended()
        samples = picker.samples()
        assert 'inference_objective_running_requests{model_name="base"}' not in samples
        assert samples[f"inference_objective_request_duration_seconds_sum{{{MODELS}}}"] == 1.5
        assert samples[f"inference_objective_response_sizes_sum{{{MODELS}}}"] == len(usage)
        assert samples[f"inference_objective_input_tokens_sum{{{MODELS}}}"] == 11
        assert samples[f"inference_objective_output_tokens_sum{{{MODELS}}}"] == 5

    def test_an_answer_that_is_an_error(self) -> None:
        picker = Picker(load(0, 0.0))
        placement = place(picker)
        placement.response_headers(((":status", "502"),), NO_CONTEXT)
        placement.response_ended()
        error = f'inference_objective_request_error_total{{{MODELS},error_code="ModelServerError"}}'
        assert picker.samples()[error] == 1

    @pytest.mark.parametrize(
        ("picker", "asked", "models", "code"),
        [
            (Picker(None), asks(b"{"), ("", ""), "BadRequest"),
            (Picker(), asks(), ("base", "base"), "ServiceUnavailable"),
            (
                Picker(None, objectives={"batch": -1}),
                asks(body_of(), ("x-gateway-inference-objective", "batch")),
                ("base", "base"),
                "ResourceExhausted",
            ),
        ],
    )
    def test_refusals(self, picker: Picker, asked: Place, models: tuple[str, str], code: str) -> None:
        refusal(picker, asked)
        labels = f'model_name="{models[0]}",target_model_name="{models[1]}",error_code="{code}"'
        assert picker.samples()[f"inference_objective_request_error_total{{{labels}}}"] == 1

    @pytest.mark.parametrize("headers", [[], [("x-gateway-model-name", "base")]])
    def test_requests_without_a_body_are_not_counted(self, headers: list[tuple[str, str]]) -> None:
        picker = Picker(load(0, 0.0))
        placement = place(picker, asks(None, *headers, base=GET))
        placement.response_headers(((":status", "200"),), NO_CONTEXT)
        placement.response_ended()
        assert [name for name in picker.samples() if name.startswith("inference_objective")] == []


class TestLoadOnAnswers:
    def test_it_is_known_at_once(self) -> None:
        picker = Picker(load(9, 0.9))
        placement = place(picker)
        picker.clock.now += 1
        placement.response_headers((load_header(2, 0.25),), NO_CONTEXT)
        candidates = picker.store.candidates(None, picker.clock())
        assert (candidates.waiting.tolist(), candidates.kv_usage.tolist()) == ([2], [0.25])
        assert candidates.fresh(0.0).all()
        assert picker.poller.loads == [("pod-0", NOW + 1)]

    def test_of_an_endpoint_that_left_it_is_dropped(self) -> None:
        picker = Picker(load(9, 0.9))
        placement = place(picker)
        picker.store.apply(snapshot(spec(1)))  # in the same slot
        placement.response_headers((load_header(2, 0.25),), NO_CONTEXT)
        assert picker.poller.loads == []
        assert not picker.store.candidates(None, NOW).fresh(1e9).any()


def test_a_log_line_per_request_says_nothing_of_its_content(caplog: pytest.LogCaptureFixture) -> None:
    picker = Picker(load(0, 0.0))
    with caplog.at_level(logging.DEBUG, "epp"):
        picker.director.finish(place(picker, asks(body_of(prompt="SECRET"), ("authorization", "SECRET"))))
        refusal(picker, asks(b'{"SECRET'))
    assert [record.message for record in caplog.records] == ["placed", "ended", "refused"]
    assert not any("SECRET" in str(vars(record)) for record in caplog.records)


def test_a_log_line_per_request_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    picker = Picker(load(0, 0.0))
    with caplog.at_level(logging.DEBUG, "epp"):
        place(picker, asks(body_of(prompt="x", model="m" * 5000), ("x-request-id", "i" * 5000)))
    assert [len(str(record.__dict__["fields"])) < 1000 for record in caplog.records] == [True]


def test_by_default_requests_leave_no_lines(caplog: pytest.LogCaptureFixture) -> None:
    picker = Picker(load(0, 0.0))
    with caplog.at_level(logging.INFO, "epp"):
        picker.director.finish(place(picker))
    assert caplog.records == []
