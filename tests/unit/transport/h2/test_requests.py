"""What the flaws are called; which header lists have one is in test_conformance_requests.py."""

from epp.transport.h2.requests import content_length, request_flaw, trailers_flaw

REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"))


def test_flaws_are_told_in_words() -> None:
    assert request_flaw(REQUEST) == ""
    assert request_flaw(REQUEST[:2]) == "a pseudo-header is missing"
    assert request_flaw((*REQUEST, (b"Upper", b""))) == "a name that no field may have"
    assert trailers_flaw(((b"a", b"b"),)) == ""
    assert trailers_flaw(REQUEST) == "a pseudo-header in trailers"


def test_content_length() -> None:
    assert content_length(REQUEST) is None
    assert content_length((*REQUEST, (b"content-length", b"12"))) == 12
