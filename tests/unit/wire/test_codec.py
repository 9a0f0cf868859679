"""What Envoy's own protobuf classes write is read, and what we write they read as the reference's answers."""

import math
from typing import Any

import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as envoy
from google.protobuf import struct_pb2, text_format
from hypothesis import given
from hypothesis import strategies as st

from epp.errors import GrpcStatus, ProtocolError
from epp.wire.codec import decode_request, encode_answer
from epp.wire.messages import (
    NO_CONTEXT,
    Answer,
    BodyAnswer,
    BodyMode,
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


def read(text: str) -> Message:
    return decode_request(text_format.Parse(text, envoy.ProcessingRequest()).SerializeToString())


def assert_writes(answer: Answer, text: str) -> None:
    expected = text_format.Parse(text, envoy.ProcessingResponse())
    assert envoy.ProcessingResponse.FromString(encode_answer(answer)) == expected


# From Envoy


def test_request_headers() -> None:
    message = read("""
        request_headers {
          headers {
            headers { key: ":method" raw_value: "POST" }
            headers { key: "X-Tag" raw_value: "a" }
            headers { key: "x-tag" raw_value: "b" value: "not this" }
            headers { key: "x-old" value: "an older proxy" }
            headers { key: "x-latin" raw_value: "caf\\xe9" }
            headers { key: "x-empty" }
          }
          end_of_stream: true
        }
    """)
    assert message == HttpHeaders(
        Phase.REQUEST,
        (
            (":method", "POST"),
            ("x-tag", "a"),
            ("x-tag", "b"),
            ("x-old", "an older proxy"),
            ("x-latin", "caf\ufffd"),
            ("x-empty", ""),
        ),
        end_of_stream=True,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("request_headers {}", HttpHeaders(Phase.REQUEST, ())),
        (
            'response_headers { headers { headers { key: ":status" raw_value: "200" } } }',
            HttpHeaders(Phase.RESPONSE, ((":status", "200"),)),
        ),
        ('request_body { body: "\\x00\\xff" }', HttpBody(Phase.REQUEST, b"\x00\xff")),
        ("request_body { end_of_stream: true }", HttpBody(Phase.REQUEST, b"", end_of_stream=True)),
        ('response_body { body: "data: 1" }', HttpBody(Phase.RESPONSE, b"data: 1")),
        ("request_trailers { trailers {} }", HttpTrailers(Phase.REQUEST)),
        ("response_trailers {}", HttpTrailers(Phase.RESPONSE)),
    ],
)
def test_every_kind_of_message(text: str, expected: Message) -> None:
    assert read(text) == expected
    assert read(text).context is NO_CONTEXT


def test_metadata_and_attributes_are_plain_values() -> None:
    message = read("""
        request_body { end_of_stream: true }
        metadata_context {
          filter_metadata {
            key: "envoy.lb.subset_hint"
            value {
              fields {
                key: "x-gateway-destination-endpoint-subset"
                value {
                  list_value {
                    values { string_value: "10.0.0.1:8000" }
                    values { string_value: "10.0.0.2:8000" }
                  }
                }
              }
            }
          }
          filter_metadata { key: "empty" value {} }
        }
        attributes {
          key: "envoy.filters.http.ext_proc"
          value {
            fields { key: "number" value { number_value: 1.5 } }
            fields { key: "yes" value { bool_value: true } }
            fields { key: "null" value { null_value: NULL_VALUE } }
            fields { key: "unset" value {} }
            fields {
              key: "nested"
              value {
                struct_value { fields { key: "deep" value { list_value { values { struct_value {} } } } } }
              }
            }
          }
        }
    """)
    assert message.context.metadata == {
        "envoy.lb.subset_hint": {"x-gateway-destination-endpoint-subset": ["10.0.0.1:8000", "10.0.0.2:8000"]},
        "empty": {},
    }
    assert message.context.attributes == {
        "envoy.filters.http.ext_proc": {
            "number": 1.5,
            "yes": True,
            "null": None,
            "unset": None,
            "nested": {"deep": [{}]},
        }
    }
    assert message.context.protocol is None


@pytest.mark.parametrize("kind", ["response_body", "response_trailers"])
def test_metadata_is_not_read_again_after_the_response_headers(kind: str) -> None:
    repeated = (
        'metadata_context { filter_metadata { key: "envoy.lb" value {} } } attributes { key: "a" value {} }'
    )
    assert read(f"response_headers {{}} {repeated}").context.metadata == {"envoy.lb": {}}
    assert read(f"{kind} {{}} {repeated}").context is NO_CONTEXT


def test_protocol_config_is_told_only_when_it_is_on_the_wire() -> None:
    message = read("""
        request_headers {}
        protocol_config { request_body_mode: FULL_DUPLEX_STREAMED response_body_mode: BUFFERED }
    """)
    assert message.context.protocol == ProtocolConfig(BodyMode.FULL_DUPLEX_STREAMED, BodyMode.BUFFERED)
    assert read("request_headers {} protocol_config {}").context.protocol == ProtocolConfig(
        BodyMode.NONE, BodyMode.NONE
    )


def test_unknown_body_mode_is_refused() -> None:
    data = envoy.ProcessingRequest(request_headers={}, protocol_config={"request_body_mode": 99})  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match="protocol_config: 99 is not a valid BodyMode"):
        decode_request(data.SerializeToString())


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "holds no message"),
        (envoy.ProcessingRequest(observability_mode=True).SerializeToString(), "holds no message"),
        (b"\xa2\x06\x00", "holds no message"),  # field 100: a kind of message that does not exist yet
        (b"\x12\x05\x0a", "no ProcessingRequest"),  # cut off
        (b"GET / HTTP/1.1\r\n\r\n", "no ProcessingRequest"),
    ],
)
def test_bytes_that_are_no_message(data: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint) as caught:
        decode_request(data)
    assert caught.value.status is GrpcStatus.INVALID_ARGUMENT


def _field(number: int, payload: bytes) -> bytes:
    size = bytearray()
    rest = len(payload)
    while rest > 127:
        size.append(rest & 127 | 128)
        rest >>= 7
    size.append(rest)
    return bytes(((number << 3) | 2,)) + bytes(size) + payload


def test_depth_of_metadata_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        value = struct_pb2.Value(string_value="bottom").SerializeToString()
        for _ in range(depth):
            value = _field(6, _field(1, value))  # Value.list_value, ListValue.values
        struct = _field(1, _field(1, b"k") + _field(2, value))  # Struct.fields, its key, its value
        return _field(4, b"") + _field(9, _field(1, b"a") + _field(2, struct))  # request_body, attributes

    assert isinstance(decode_request(nested(40)), HttpBody)
    with pytest.raises(ProtocolError):
        decode_request(nested(60))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    for prefix in (b"", b"\x12" + bytes((min(len(data), 127),)), b"\x42" + bytes((min(len(data), 127),))):
        try:
            message = decode_request(prefix + data)
        except ProtocolError:
            continue
        assert isinstance(message, HttpHeaders | HttpBody | HttpTrailers)


# To Envoy


def test_request_headers_answer_as_the_reference_writes_it() -> None:
    answer = HeadersAnswer(
        Phase.REQUEST,
        HeaderMutation(
            set=(("x-gateway-destination-endpoint", "10.0.0.1:8000"), ("content-length", "42")),
            remove=("x-gateway-inference-objective",),
        ),
        clear_route_cache=True,
        dynamic_metadata={"envoy.lb": {"x-gateway-destination-endpoint": "10.0.0.1:8000"}},
    )
    assert_writes(
        answer,
        """
        request_headers {
          response {
            header_mutation {
              set_headers { header { key: "x-gateway-destination-endpoint" raw_value: "10.0.0.1:8000" } }
              set_headers { header { key: "content-length" raw_value: "42" } }
              remove_headers: "x-gateway-inference-objective"
            }
            clear_route_cache: true
          }
        }
        dynamic_metadata {
          fields {
            key: "envoy.lb"
            value {
              struct_value {
                fields { key: "x-gateway-destination-endpoint" value { string_value: "10.0.0.1:8000" } }
              }
            }
          }
        }
        """,
    )


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (HeadersAnswer(Phase.REQUEST), "request_headers { response {} }"),
        (HeadersAnswer(Phase.RESPONSE), "response_headers { response {} }"),
        (
            StreamedBody(Phase.REQUEST, b"abc"),
            'request_body { response { body_mutation { streamed_response { body: "abc" } } } }',
        ),
        (
            StreamedBody(Phase.RESPONSE, memoryview(b"abc")[1:], end_of_stream=True),
            """response_body { response { body_mutation {
                 streamed_response { body: "bc" end_of_stream: true } } } }""",
        ),
        (
            StreamedBody(Phase.REQUEST, b""),
            "request_body { response { body_mutation { streamed_response {} } } }",
        ),
        (BodyAnswer(Phase.REQUEST), "request_body { response {} }"),
        (
            BodyAnswer(Phase.RESPONSE, b"new"),
            'response_body { response { body_mutation { body: "new" } } }',
        ),
        (
            BodyAnswer(Phase.RESPONSE, b""),
            "response_body { response { body_mutation { clear_body: true } } }",
        ),
        (
            BodyAnswer(
                Phase.REQUEST,
                b"{}",
                HeaderMutation(set=(("content-length", "2"),)),
                clear_route_cache=True,
                dynamic_metadata={"envoy.lb": {"k": "v"}},
            ),
            """
            request_body { response {
              header_mutation { set_headers { header { key: "content-length" raw_value: "2" } } }
              body_mutation { body: "{}" }
              clear_route_cache: true
            } }
            dynamic_metadata { fields { key: "envoy.lb" value { struct_value {
              fields { key: "k" value { string_value: "v" } } } } } }
            """,
        ),
        (TrailersAnswer(Phase.REQUEST), "request_trailers {}"),
        (TrailersAnswer(Phase.RESPONSE), "response_trailers {}"),
        (
            ImmediateResponse(
                429, (("content-type", "application/json"), ("retry-after", "1")), b'{"error":{}}', "shed"
            ),
            """
            immediate_response {
              status { code: TooManyRequests }
              headers {
                set_headers { header { key: "content-type" raw_value: "application/json" } }
                set_headers { header { key: "retry-after" raw_value: "1" } }
              }
              body: "{\\"error\\":{}}"
              details: "shed"
            }
            """,
        ),
        (ImmediateResponse(503), "immediate_response { status { code: ServiceUnavailable } }"),
    ],
)
def test_every_kind_of_answer(answer: Answer, text: str) -> None:
    assert_writes(answer, text)


# What a Struct can hold. Numbers are doubles there, so whole ones come back as floats.
plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=8)
    | st.floats(allow_nan=False)
    | st.integers(-(2**53), 2**53),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.text(max_size=8), st.dictionaries(st.text(max_size=8), plain_values, max_size=3), max_size=3
    )
)
def test_metadata_that_we_write_comes_back_the_same(metadata: dict[str, dict[str, Any]]) -> None:
    answer = HeadersAnswer(Phase.REQUEST, dynamic_metadata=metadata)
    written = envoy.ProcessingResponse.FromString(encode_answer(answer)).dynamic_metadata
    request = envoy.ProcessingRequest(request_body={})  # type: ignore[arg-type]
    for namespace, value in written.fields.items():
        request.attributes[namespace].CopyFrom(value.struct_value)
    assert decode_request(request.SerializeToString()).context.attributes == metadata


def test_numbers_that_json_has_not() -> None:
    request = envoy.ProcessingRequest(request_body={})  # type: ignore[arg-type]
    request.attributes["a"].fields["nan"].number_value = math.nan
    assert math.isnan(decode_request(request.SerializeToString()).context.attributes["a"]["nan"])
