"""RFC 9113, section 8: malformed requests are stream errors. Each test names its section."""

import pytest

from epp.transport.h2.frames import END_STREAM
from epp.transport.h2.limits import Limits
from tests.h2_peer import (
    AUTHORITY,
    METHOD,
    PATH,
    REQUEST,
    SCHEME,
    Field,
    Peer,
    RequestReceived,
    data,
    received,
)


def heard(*fields: Field, end: bool = True) -> list[str]:
    """What a client hears whose request has these fields."""
    peer = Peer()
    peer.send(peer.request(fields=fields, end=end))
    return peer.hear()


MALFORMED = ["RST_STREAM 1 PROTOCOL_ERROR"]


def with_field(*field: str) -> list[str]:
    name, value = field
    return heard(*REQUEST, (name, value))


def test_8_3_1_a_request() -> None:
    peer = Peer()
    (event,) = peer.send(peer.request(fields=[*REQUEST, ("te", "trailers"), ("x", "y")]))
    assert isinstance(event, RequestReceived)
    assert event.fields[:2] == ((b":method", b"POST"), (b":scheme", b"http"))
    assert event.fields[-1] == (b"x", b"y")
    assert not event.ended


@pytest.mark.parametrize("name", ["X-Upper", "a b", "a\x7f", "a:b", "\x00", "", "a\n", "\xe4"])
def test_8_2_1_names(name: str) -> None:
    assert with_field(name, "value") == MALFORMED


@pytest.mark.parametrize("value", ["a\0", "a\r", "\nb", " a", "a ", "\ta", "a\t", " "])
def test_8_2_1_values(value: str) -> None:
    assert with_field("name", value) == MALFORMED


@pytest.mark.parametrize("value", ["", "a b", "a\tb", "\x7f", "ü"])
def test_8_2_1_values_that_are_allowed(value: str) -> None:
    assert with_field("name", value) == []


@pytest.mark.parametrize(
    "name", ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"]
)
def test_8_2_2_fields_of_connections(name: str) -> None:
    assert with_field(name, "x") == MALFORMED


def test_8_2_2_te_says_trailers_or_nothing() -> None:
    assert with_field("te", "trailers") == []
    assert with_field("te", "trailers, deflate") == MALFORMED


@pytest.mark.parametrize("name", [":unknown", ":status", ":protocol", ":"])
def test_8_3_unknown_pseudo_headers(name: str) -> None:
    assert heard(*REQUEST, (name, "x")) == MALFORMED


def test_8_3_pseudo_header_after_a_field() -> None:
    assert heard(METHOD, SCHEME, ("x", "y"), PATH) == MALFORMED


@pytest.mark.parametrize("twice", REQUEST)
def test_8_3_pseudo_header_twice(twice: Field) -> None:
    assert heard(*REQUEST, twice) == MALFORMED


@pytest.mark.parametrize("missing", [METHOD, SCHEME, PATH])
def test_8_3_1_missing_pseudo_header(missing: Field) -> None:
    assert heard(*(field for field in REQUEST if field != missing)) == MALFORMED


def test_8_3_1_authority_may_be_missing() -> None:
    assert heard(METHOD, SCHEME, PATH) == []


@pytest.mark.parametrize("path", ["", "a/B", "*", "\0", " /"])
def test_8_3_1_paths(path: str) -> None:
    assert heard(METHOD, SCHEME, (":path", path)) == MALFORMED


def test_8_3_1_path_of_options() -> None:
    assert heard((":method", "OPTIONS"), SCHEME, (":path", "*")) == []


def test_8_5_connect_has_an_authority_and_nothing_else() -> None:
    connect = (":method", "CONNECT")
    assert heard(connect, AUTHORITY) == []
    assert heard(connect) == MALFORMED
    assert heard(connect, AUTHORITY, SCHEME, PATH) == MALFORMED


# 8.1.1 content-length


def test_8_1_1_content_length_that_is_kept() -> None:
    peer = Peer()
    peer.send(peer.request(fields=[*REQUEST, ("content-length", "5")]))
    assert received(peer.send(data(1, b"he"), data(1, b"llo", END_STREAM))) == [
        "data 1 b'he'",
        "data 1 b'llo' END",
    ]


@pytest.mark.parametrize("pieces", [[b"hello!"], [b"hel", b"lo!"], [b"hell"], [b""]])
def test_8_1_1_content_length_that_is_not(pieces: list[bytes]) -> None:
    peer = Peer()
    peer.send(peer.request(fields=[*REQUEST, ("content-length", "5")]))
    peer.send(*(data(1, piece) for piece in pieces[:-1]), data(1, pieces[-1], END_STREAM))
    assert peer.hear() == MALFORMED


def test_8_1_1_content_length_without_a_body() -> None:
    assert heard(*REQUEST, ("content-length", "5"), end=True) == MALFORMED
    assert heard(*REQUEST, ("content-length", "0"), end=True) == []


@pytest.mark.parametrize("value", ["-1", "five", "", "1" * 20, "0x5"])
def test_8_1_1_content_length_that_is_no_number(value: str) -> None:
    assert with_field("content-length", value) == MALFORMED


def test_8_1_1_two_lengths() -> None:
    two = [("content-length", "5"), ("content-length", "6")]
    assert heard(*REQUEST, *two, end=False) == MALFORMED


# 8.1 Trailers


def test_8_1_trailers_end_the_request() -> None:
    peer = Peer()
    peer.send(peer.request(), data(1, b"x"))
    assert received(peer.send(peer.request(fields=[("x", "y")], end=True))) == ["data 1 b'' END"]


@pytest.mark.parametrize(
    ("fields", "end"),
    [([("x", "y")], False), ([PATH], True), ([("X", "y")], True), ([("connection", "x")], True)],
)
def test_8_1_malformed_trailers(fields: list[Field], end: bool) -> None:
    peer = Peer()
    peer.send(peer.request(), peer.request(fields=fields, end=end))
    assert peer.hear() == MALFORMED


def test_8_1_1_trailers_before_the_promised_length() -> None:
    peer = Peer()
    peer.send(peer.request(fields=[*REQUEST, ("content-length", "5")]), data(1, b"hell"))
    peer.send(peer.request(fields=[("x", "y")], end=True))
    assert peer.hear() == MALFORMED


# 6.5.2 and 10.5.1: fields beyond what was announced


def test_10_5_1_too_many_fields_get_431_and_the_connection_lives() -> None:
    peer = Peer(Limits(header_list_bytes=300))
    large = [*REQUEST, ("x", "y" * 300)]
    assert received(peer.send(peer.request(1, large, end=True), peer.request(3, end=True))) == [
        "request 3 END"
    ]
    assert peer.hear() == ["HEADERS 1 :status=431 END"]
    assert peer.hits == ["header_list_bytes"]
