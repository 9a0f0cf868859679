"""Plugins that see whole requests, in a whole picker: what they do reaches Envoy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from epp.config.picker import load_picker_config
from epp.errors import BadRequestError, NoEndpointError
from epp.extproc.exchange import Place
from epp.placement import Placement
from epp.plugins.registry import OWN_TYPES
from epp.types import LoadSample
from epp.wire.messages import Context, HeaderList, MetadataMap
from tests.pickers import Picker, at_once, body_of
from tests.pools import address, endpoint, load, snapshot, spec

HEAD = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"
IDLE = load(0, 0.0)
SERVED = {"envoy.lb": {"x-gateway-destination-endpoint-served": address(1)}}


def picker(text: str, *loads: LoadSample | None) -> Picker:
    return Picker(*loads or (IDLE, IDLE), config=load_picker_config(HEAD + text, "test.yaml", OWN_TYPES))


def place(
    at: Picker, body: bytes | None = None, *headers: tuple[str, str], path: str = "/v1/completions"
) -> Placement:
    asked = Place((("x-request-id", "r"), (":path", path), *headers), {}, body_of() if body is None else body)
    return at_once(at.director.place(asked, at.clock()))


def answer(placement: Placement, metadata: MetadataMap | None = None) -> HeaderList:
    """The headers set on an answer."""
    return placement.response_headers(((":status", "200"),), Context(metadata=metadata or {})).set


# Sessions ------------------------------------------------------------------------------------------------


def test_an_answer_carries_the_session_and_the_next_request_follows_it() -> None:
    at = picker("plugins: [{type: session-affinity-scorer}, {type: queue-scorer}]", IDLE, IDLE, IDLE)
    first = place(at)
    ((name, token),) = answer(first)
    assert name == "x-session-token"
    for _ in range(3):
        assert place(at, None, (name, token)).destination == first.destination


def test_the_session_is_that_of_the_endpoint_that_served_after_a_retry() -> None:
    at = picker("plugins: [{type: session-affinity-filter}, {type: queue-scorer}]")
    first = place(at)
    assert first.destination == address(0)
    ((name, token),) = answer(first, SERVED)
    assert place(at, None, (name, token)).destination == address(1)


def test_a_session_that_is_remembered_is_forgotten_with_its_endpoint() -> None:
    at = picker(
        "plugins: [{type: session-affinity-filter, parameters: {strategy: session_id}}, {type: queue-scorer}]"
    )
    session = ("x-session-id", "mine")
    homes = {place(at, None, session).destination for _ in range(4)}
    assert homes == {address(0)}
    at.store.apply(snapshot(spec(1)))
    assert place(at, None, session).destination == address(1)
    at.store.apply(snapshot(spec(0), spec(1)))
    assert {place(at, None, session).destination for _ in range(4)} == {address(1)}


# Conformance ---------------------------------------------------------------------------------------------

CONFORMANCE = """
plugins:
- type: header-based-testing-filter
- type: destination-endpoint-served-verifier
schedulingProfiles:
- name: conformance-profile
  plugins:
  - pluginRef: header-based-testing-filter
"""


def test_the_conformance_tests_configuration() -> None:
    at = picker(CONFORMANCE, None, None)
    placement = place(at, None, ("test-epp-endpoint-selection", "192.168.1.2"), path="/primary-gateway-test")
    assert placement.destination == address(1)
    assert answer(placement, SERVED) == (("x-conformance-test-served-endpoint", address(1)),)
    with pytest.raises(NoEndpointError):
        place(at)
    assert at_once(at.director.place(Place(((":path", "/"),), {}, None), at.clock())).destination


# What requests count for, and what answers report --------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "tokens"),
    [("{}", 250), ("{addEstimatedOutputTokens: false}", 100), ("{outputRatio: 3}", 400)],
)
def test_what_a_request_counts_for_is_configured(parameters: str, tokens: int) -> None:
    at = picker(
        f"plugins: [{{type: inflight-load-producer, parameters: {parameters}}}, {{type: queue-scorer}}]"
    )
    place(at, body_of(prompt="x" * 400))
    slot = endpoint(at.store, 0).slot
    assert at.store.endpoints.in_flight_tokens[slot] == tokens


def test_the_cost_of_an_answer_is_told_at_its_end() -> None:
    at = picker(
        """
plugins:
- type: request-attribute-reporter
  parameters:
    attributes:
    - key: {name: x-gateway-inference-request-cost}
      expression: usage.prompt_tokens + 2 * usage.completion_tokens
      condition: has(usage.completion_tokens)
- type: queue-scorer
"""
    )
    placement = place(at)
    assert answer(placement) == ()
    placement.response_body(b'{"usage": {"prompt_tokens": 5, "completion_tokens": 7}}', True)
    assert placement.response_ended() == {"envoy.lb": {"x-gateway-inference-request-cost": 19}}


# Parsers -------------------------------------------------------------------------------------------------

GENERATE = "/vllm.grpc.engine.VllmEngine/Generate"


def call(prompt: bytes) -> bytes:
    """A GenerateRequest{text} of less than 128 bytes in its frame."""
    message = b"\x1a" + bytes([len(prompt)]) + prompt
    return b"\x00" + len(message).to_bytes(4) + message


def with_parser(name: str, *plugins: str) -> Picker:
    listed = "".join(f"- type: {plugin}\n" for plugin in (name, *plugins))
    return picker(f"parser: {{pluginRef: {name}}}\nplugins:\n{listed}")


def test_a_grpc_call_is_placed_where_its_prompt_is_held_and_its_tokens_are_counted() -> None:
    at = with_parser("vllmgrpc-parser", "prefix-cache-scorer")
    prompt = bytes(range(1, 121))
    first = place(at, call(prompt), path=GENERATE)
    for _ in range(3):
        assert place(at, call(prompt), path=GENERATE).destination == first.destination
    assert place(at, call(prompt[::-1]), path=GENERATE).destination != first.destination
    first.response_body(b"\x00\x00\x00\x00\x06" + b"\x0a\x04\x10\x03\x18\x04", True)
    first.response_ended()
    usage = first.outcome.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (3, 4)
    with pytest.raises(BadRequestError):
        place(at, body_of())


@pytest.mark.parametrize("body", [b"\xff\xfe", b"", body_of(), call(b"hello")])
def test_a_parser_that_reads_nothing_serves_every_body(body: bytes) -> None:
    placement = place(with_parser("passthrough-parser", "queue-scorer"), body, path="/any")
    assert placement.destination == address(0)
    assert placement.request_body is None
    placement.response_body(b'{"usage": {"prompt_tokens": 5, "completion_tokens": 7}}', True)
    placement.response_ended()
    assert placement.outcome.usage is None


# Disaggregation ------------------------------------------------------------------------------------------

DISAGGREGATED = """
plugins:
- type: prefill-filter
- type: decode-filter
- type: prefix-cache-scorer
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 100}
- type: disagg-profile-handler
  parameters:
    deciders: {prefill: prefix-based-pd-decider}
schedulingProfiles:
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: prefix-cache-scorer}]
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: prefix-cache-scorer}]
"""


def told(placement: Placement) -> dict[str, Any]:
    """The headers set on the request, but for those that every request gets."""
    return {name: value for name, value in placement.request_mutation.set if name.startswith("x-")}


def test_a_long_prompt_is_prefilled_elsewhere_until_it_is_cached() -> None:
    at = picker(DISAGGREGATED)
    roles = ("decode", "prefill")
    at.store.apply(
        snapshot(*[replace(spec(n), labels={"llm-d.ai/role": role}) for n, role in enumerate(roles)])
    )
    long = body_of(prompt="".join(map(chr, range(33, 127))) * 10)
    first = place(at, long)
    assert first.destination == address(0)
    assert told(first) == {"x-prefiller-host-port": address(1)}
    assert told(place(at, long)) == {}, "cached where it is decoded"
    assert told(place(at, body_of(prompt="short"))) == {}
    forged = ("x-prefiller-host-port", "10.6.6.6:22")
    assert told(place(at, body_of(prompt="short"), forged)) == {"x-prefiller-host-port": ""}
