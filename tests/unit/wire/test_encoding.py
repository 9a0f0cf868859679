"""Every answer says to Envoy's own classes what it says here, at every length where a varint grows."""

from __future__ import annotations

from typing import Any

from envoy.service.ext_proc.v3 import external_processor_pb2 as envoy
from hypothesis import example, given
from hypothesis import strategies as st

from epp.wire.encoding import encode_answer
from epp.wire.messages import (
    Answer,
    BodyAnswer,
    HeaderMutation,
    HeadersAnswer,
    ImmediateResponse,
    MetadataMap,
    Phase,
    StreamedBody,
    TrailersAnswer,
)


def as_envoy_reads(answer: Answer) -> envoy.ProcessingResponse:
    """The answer, field by field, in Envoy's own classes."""
    response = envoy.ProcessingResponse()
    if isinstance(answer, ImmediateResponse):
        response.immediate_response.status.code = answer.status  # type: ignore[assignment]
        if answer.headers:
            mutate(response.immediate_response.headers, HeaderMutation(answer.headers))
        response.immediate_response.body = answer.body
        response.immediate_response.details = answer.details
        return response
    for namespace, values in answer.dynamic_metadata.items():
        response.dynamic_metadata.get_or_create_struct(namespace).update(values)
    if isinstance(answer, TrailersAnswer):
        getattr(response, f"{answer.phase.value}_trailers").SetInParent()
        return response
    kind = "headers" if isinstance(answer, HeadersAnswer) else "body"
    common = getattr(response, f"{answer.phase.value}_{kind}").response
    common.SetInParent()
    if isinstance(answer, StreamedBody):
        piece = common.body_mutation.streamed_response
        piece.SetInParent()
        piece.body, piece.end_of_stream = bytes(answer.data), answer.end_of_stream
        return response
    if isinstance(answer, BodyAnswer) and answer.data is not None:
        if answer.data:
            common.body_mutation.body = answer.data
        else:
            common.body_mutation.clear_body = True
    if answer.mutation:
        mutate(common.header_mutation, answer.mutation)
    common.clear_route_cache = answer.clear_route_cache
    return response


def mutate(target: Any, mutation: HeaderMutation) -> None:
    for key, value in mutation.set:
        header = target.set_headers.add().header
        header.SetInParent()
        header.key, header.raw_value = key, value.encode()
    target.remove_headers.extend(mutation.remove)


LENGTHS = st.sampled_from([0, 1, 90, 110, 118, 120, 122, 124, 126, 127, 128, 16_370, 16_383, 16_384, 2**21])
TEXTS = st.text(max_size=10) | st.sampled_from(["x" * 100, "x" * 127, "x" * 128, "x" * 300])
phases = st.sampled_from(Phase)
header_lists = st.lists(st.tuples(TEXTS, TEXTS), max_size=4).map(tuple)
mutations = st.builds(HeaderMutation, header_lists, st.lists(TEXTS, max_size=3).map(tuple))
plain = st.none() | st.booleans() | st.floats(allow_nan=False) | TEXTS | st.lists(TEXTS, max_size=2)
metadata: st.SearchStrategy[MetadataMap] = st.dictionaries(
    TEXTS, st.dictionaries(TEXTS, plain, max_size=2), max_size=2
)
data = st.binary(max_size=20) | LENGTHS.map(bytes)
answers: st.SearchStrategy[Answer] = st.one_of(
    st.builds(HeadersAnswer, phases, mutations, st.booleans(), metadata),
    st.builds(
        StreamedBody, phases, data | data.map(lambda whole: memoryview(whole)[:]), st.booleans(), metadata
    ),
    st.builds(BodyAnswer, phases, st.none() | data, mutations, st.booleans(), metadata),
    st.builds(TrailersAnswer, phases, metadata),
    st.builds(ImmediateResponse, st.sampled_from([400, 429, 503]), header_lists, data, TEXTS),
)


@given(answers)
def test_answers(answer: Answer) -> None:
    for _ in range(2):  # the second time out of what is remembered
        assert envoy.ProcessingResponse.FromString(encode_answer(answer)) == as_envoy_reads(answer)


@given(phases, st.integers(0, 40_000), st.booleans())
@example(Phase.REQUEST, 62_000, False)
def test_pieces_of_every_length(phase: Phase, length: int, end: bool) -> None:
    answer = StreamedBody(phase, bytes(length), end)
    assert envoy.ProcessingResponse.FromString(encode_answer(answer)) == as_envoy_reads(answer)
