import gzip
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.errors import GrpcStatus
from epp.transport.h2.grpc import (
    CallError,
    MessageReader,
    Refusal,
    Request,
    framed,
    percent_encoded,
    read_request,
    trailers,
)

POST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"))
GRPC = (b"content-type", b"application/grpc")


@pytest.mark.parametrize(
    "value", ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"]
)
def test_content_types(value: str) -> None:
    assert read_request((*POST, (b"content-type", value.encode()))) == Request("/a.B/C", None, "identity")


@pytest.mark.parametrize(
    "value", ["", "application/json", "application/grpc+json", "application/grpcx", "text/plain"]
)
def test_other_content_types_get_415(value: str) -> None:
    refusal = read_request((*POST, (b"content-type", value.encode())))
    assert isinstance(refusal, Refusal)
    assert refusal.fields[0] == (b":status", b"415")
    assert refusal.body


def test_other_methods_get_405_and_head_no_body() -> None:
    for method, body in ((b"GET", True), (b"HEAD", False)):
        refusal = read_request(((b":method", method), *POST[1:], GRPC))
        assert isinstance(refusal, Refusal)
        assert refusal.fields[0] == (b":status", b"405")
        assert bool(refusal.body) is body


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1H", 3600),
        ("2M", 120),
        ("10S", 10),
        ("99999999m", 99_999.999),
        ("5u", 5e-6),
        ("7n", 7e-9),
        ("0m", 0),
    ],
)
def test_timeouts(value: str, seconds: float) -> None:
    request = read_request((*POST, GRPC, (b"grpc-timeout", value.encode())))
    assert isinstance(request, Request)
    assert request.timeout == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "1", "m", "123456789m", "-1m", "1.5S", "1s"])
def test_timeouts_that_are_none(value: str) -> None:
    with pytest.raises(CallError, match="grpc-timeout") as caught:
        read_request((*POST, GRPC, (b"grpc-timeout", value.encode())))
    assert caught.value.status is GrpcStatus.INTERNAL


def test_unknown_compression_is_unimplemented() -> None:
    with pytest.raises(CallError, match="gzip only") as caught:
        read_request((*POST, GRPC, (b"grpc-encoding", b"snappy")))
    assert caught.value.status is GrpcStatus.UNIMPLEMENTED


# Messages


@given(
    st.lists(st.one_of(st.binary(max_size=20), st.binary(min_size=500, max_size=5000))),
    st.lists(st.integers(0)),
)
def test_messages_come_back_however_they_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    data = b"".join(framed(messages))
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    reader = MessageReader(10_000, "identity")
    read = [each for at, end in pairwise(places) for each in reader.feed(data, at, end)]
    assert read == messages
    assert all(type(message) is bytes for message in read)
    assert not reader.amid
    assert reader.pending == 0


def test_byte_by_byte_and_what_is_pending() -> None:
    reader = MessageReader(100, "identity")
    data = b"".join(framed([b"hello"]))
    states = []
    for at in range(len(data)):
        messages = reader.feed(data, at, at + 1)
        states.append((reader.amid, reader.pending, list(messages)))
    assert states == [
        *[(True, 0, [])] * 5,
        *[(True, size, []) for size in (1, 2, 3, 4)],
        (False, 0, [b"hello"]),
    ]


def test_message_over_the_limit_is_known_from_its_prefix() -> None:
    with pytest.raises(CallError, match="a message of 101 bytes; 100 are allowed") as caught:
        MessageReader(100, "identity").feed(b"\0\0\0\0\x65", 0, 5)
    assert caught.value.status is GrpcStatus.RESOURCE_EXHAUSTED


def compressed(data: bytes) -> bytes:
    return b"\1" + len(data).to_bytes(4, "big") + data


def test_gzip_is_read() -> None:
    squeezed, plain = compressed(gzip.compress(b"hello")), b"".join(framed([b"plain"]))
    assert [*MessageReader(100, "gzip").feed(squeezed, 0, len(squeezed))] == [b"hello"]
    assert [*MessageReader(100, "gzip").feed(plain, 0, len(plain))] == [b"plain"]


@pytest.mark.parametrize(
    ("data", "encoding", "status"),
    [
        (compressed(b"x"), "identity", GrpcStatus.INTERNAL),
        (compressed(b"x"), "gzip", GrpcStatus.INTERNAL),
        (compressed(gzip.compress(b"hello")[:-5]), "gzip", GrpcStatus.INTERNAL),
        (compressed(gzip.compress(bytes(1_000_000))), "gzip", GrpcStatus.RESOURCE_EXHAUSTED),
        (b"\2\0\0\0\1x", "gzip", GrpcStatus.INTERNAL),
    ],
)
def test_messages_that_cannot_be_read(data: bytes, encoding: str, status: GrpcStatus) -> None:
    with pytest.raises(CallError) as caught:
        MessageReader(10_000, encoding).feed(data, 0, len(data))
    assert caught.value.status is status


# Status


def test_trailers() -> None:
    assert trailers(0) == ((b"grpc-status", b"0"),)
    assert trailers(12, "no", alone=True) == (
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"12"),
        (b"grpc-message", b"no"),
    )


def test_percent_encoding() -> None:
    assert percent_encoded("50% of ü\n~") == b"50%25 of %C3%BC%0A~"
