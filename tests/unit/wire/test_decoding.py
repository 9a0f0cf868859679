"""Reading by hand gives what upb gives, whatever the bytes; and what Envoy writes is read by hand."""

from __future__ import annotations

import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as envoy
from google.protobuf import text_format
from hypothesis import example, given
from hypothesis import strategies as st

from epp.errors import ProtocolError
from epp.wire import decoding
from epp.wire import ext_proc_pb2 as pb
from epp.wire.decoding import decode_request
from epp.wire.messages import HeaderList, HttpBody, HttpHeaders, Message, Phase

LENGTHS = st.sampled_from([0, 1, 2, 126, 127, 128, 129, 255, 256, 16_383, 16_384, 70_000])
TEXTS = st.text(max_size=12) | LENGTHS.map(lambda length: "x" * min(length, 300))


def by_upb(data: bytes) -> Message | None:
    """What upb alone makes of the bytes; None: no message."""
    try:
        return decoding._read_any(data)
    except ProtocolError:
        return None


def read(data: bytes) -> Message | None:
    try:
        return decode_request(data)
    except ProtocolError:
        return None


header = st.builds(
    pb.HeaderValue, key=TEXTS, value=st.sampled_from(["", "v"]), raw_value=TEXTS.map(str.encode) | st.binary()
)
headers = st.builds(
    pb.HttpHeaders,
    headers=st.none() | st.builds(pb.HeaderMap, headers=st.lists(header, max_size=4)),
    end_of_stream=st.booleans(),
)
body = st.builds(pb.HttpBody, body=st.binary(max_size=20) | LENGTHS.map(bytes), end_of_stream=st.booleans())
trailers = st.builds(pb.HttpTrailers)


@st.composite
def requests(draw: st.DrawFn) -> pb.ProcessingRequest:
    """Any message, with anything that may ride on it."""
    request = pb.ProcessingRequest()
    for phase in draw(st.sampled_from([["request"], ["response"], ["request", "response"], []])):
        kind, message = draw(
            st.one_of(
                st.tuples(st.just(f"{phase}_headers"), headers),
                st.tuples(st.just(f"{phase}_body"), body),
                st.tuples(st.just(f"{phase}_trailers"), trailers),
            )
        )
        getattr(request, kind).CopyFrom(message)
    for namespace in draw(st.lists(TEXTS, max_size=2)):
        struct = request.metadata_context.filter_metadata[namespace]
        struct.fields[draw(TEXTS)].string_value = draw(TEXTS)
    for namespace in draw(st.lists(TEXTS, max_size=2)):
        request.attributes[namespace].fields[draw(TEXTS)].number_value = 1.5
    if draw(st.booleans()):
        request.protocol_config.request_body_mode = draw(st.integers(0, 6))  # type: ignore[assignment]
    if draw(st.booleans()):
        request.metadata_context.SetInParent()
    request.observability_mode = draw(st.booleans())
    return request


# Bytes with a meaning of their own: tags, the ends of varints, lengths that are too long.
TELLING = st.sampled_from(
    [0x00, 0x01, 0x02, 0x08, 0x0A, 0x0B, 0x10, 0x12, 0x18, 0x1A, 0x22, 0x42, 0x7F, 0x80, 0xFF]
)


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """The bytes of a message or two, with some of them replaced, put in or taken out."""
    data = bytearray().join(request.SerializeToString() for request in draw(st.lists(requests(), max_size=2)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, min(len(data), 60)))
        width = draw(st.integers(0, 2))
        data[at : at + width] = draw(st.lists(TELLING | st.integers(0, 255), max_size=2).map(bytes))
    return bytes(data[: draw(st.none() | st.integers(0, len(data)))])


@given(requests())
def test_messages(request: pb.ProcessingRequest) -> None:
    data = request.SerializeToString()
    for _ in range(2):  # the second time out of what is remembered
        assert read(data) == by_upb(data)


@given(changed())
@example(b"\x22\x02\x10\x01\x22\x03\x0a\x01x")  # a message twice: they are merged
@example(b"\x22\x02\x10\x01\x2a\x00")  # two messages: the last one counts
@example(b"\x22\x82\x00\x10\x01")  # a length in more bytes than it needs
@example(b"\x22\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00\x10\x01")
@example(b"\x22\x05\x0a\x02xy\x42")  # cut off behind the message
@example(b"\x22\x09\x0a\x02xy")  # the message is cut off, its body is not
@example(b"\x22\x02\x0a\x05hello")  # a body that is longer than its message
@example(b"\x22\x00\x0a\x00")  # the second field is not of the message
@example(b"\x22\x04\x0a\x00\x10\x02")  # another number for true
@example(b"\x22\x04\x10\x01\x0a\x00")  # another order
@example(b"\x22\x04\x10\x01\x10\x00")  # a field twice: the last one counts
@example(b"\x12\x04\x0a\x02\x0a\x00")  # a header without a key
@example(b"\x12\x02\x0a\x05")
@example(b"\x12\x07\x0a\x05\x0a\x05\x0a\x01k\x1a\x00")  # a header that is longer than its map
@example(b"\x12\x08\x0a\x06\x0a\x04\x0a\x01\xff\x1a")  # a key that is no text
@example(b"\x12\x0b\x0a\x09\x0a\x07\x0a\x01\xff\x1a\x02xy")
@example(b"\x12\x0c\x0a\x0a\x0a\x08\x0a\x03\xed\xa0\x80\x1a\x01x")  # half of a surrogate pair
@example(b"\x22\x02\x10\x01\x5b\x5c")  # a group, which stands for nothing
@example(b"\x22\x02\x10\x01\x5a\x02\x08\x63")  # body mode 99
def test_bytes_of_all_kinds(data: bytes) -> None:
    assert read(data) == by_upb(data)


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=8), TEXTS), max_size=5),
    LENGTHS.map(bytes),
    st.booleans(),
)
def test_envoys_own_classes(fields: list[tuple[str, str]], data: bytes, end: bool) -> None:
    request, response = envoy.ProcessingRequest(), envoy.ProcessingRequest()
    request.request_body.body, request.request_body.end_of_stream = data, end
    for key, value in fields:
        response.response_headers.headers.headers.add(key=key, raw_value=value.encode())
    response.response_headers.end_of_stream = end
    expected: HeaderList = tuple((key.lower(), value) for key, value in fields)
    assert decode_request(request.SerializeToString()) == HttpBody(Phase.REQUEST, data, end)
    assert decode_request(response.SerializeToString()) == HttpHeaders(Phase.RESPONSE, expected, end)


AS_ENVOY_WRITES = [
    'request_headers { headers { headers { key: ":method" raw_value: "POST" } } end_of_stream: true }',
    f'request_headers {{ headers {{ headers {{ key: "cookie" raw_value: "{"c" * 700}" }} }} }}',
    'response_headers { headers { headers { key: ":status" raw_value: "200" } headers { key: "x-empty" } } }',
    'request_body { body: "{}" }',
    f'request_body {{ body: "{"a" * 70_000}" end_of_stream: true }}',
    "request_body { end_of_stream: true }",
    "response_body { end_of_stream: true }",
    'response_body { body: "{}" end_of_stream: true }',
]
RIDING = """
    metadata_context {
        filter_metadata { key: "envoy.lb" value { fields { key: "a" value { bool_value: true } } } }
    }
    attributes { key: "envoy.filters.http.ext_proc" value {} }
    protocol_config { request_body_mode: FULL_DUPLEX_STREAMED response_body_mode: FULL_DUPLEX_STREAMED }
"""


@pytest.mark.parametrize("riding", ["", "metadata_context {}", RIDING])
@pytest.mark.parametrize("text", AS_ENVOY_WRITES)
def test_what_envoy_writes_is_read_by_hand(text: str, riding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = text_format.Parse(text + riding, envoy.ProcessingRequest()).SerializeToString()
    expected = by_upb(data)
    monkeypatch.setattr(decoding, "_read_any", None)
    assert decode_request(data) == expected
