"""Contexts by themselves; certificates that change are in test_servers.py, for both servers."""

import ssl
from datetime import UTC, datetime

import pytest

from epp.transport.certificates import KeyPair
from epp.transport.self_signed import self_signed
from epp.transport.tls import server_context


def make_pair() -> KeyPair:
    return self_signed(["localhost"], [], datetime.now(UTC))


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """A handshake in memory; the client's side of it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert here.version() is not None
    return here


def client_of(pair: KeyPair, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=pair.certificate.decode())
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def test_http2_is_chosen_by_alpn() -> None:
    pair = make_pair()
    assert (
        shake_hands(server_context(lambda: pair), client_of(pair, "http/1.1", "h2")).selected_alpn_protocol()
        == "h2"
    )


def test_client_without_alpn_is_served() -> None:
    pair = make_pair()
    assert shake_hands(server_context(lambda: pair), client_of(pair)).selected_alpn_protocol() is None


def test_each_handshake_shows_the_pair_of_its_time() -> None:
    pairs = [make_pair(), make_pair()]
    now = pairs[0]
    context = server_context(lambda: now)
    for pair in (pairs[0], pairs[0], pairs[1], pairs[1]):
        now = pair
        shown = shake_hands(context, client_of(pair)).getpeercert(binary_form=True)
        assert shown == ssl.PEM_cert_to_DER_cert(pair.certificate.decode())


def test_tls_1_2_is_the_oldest_and_its_suites_are_those_that_http2_allows() -> None:
    pair = make_pair()
    client = client_of(pair, "h2")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    cipher = shake_hands(server_context(lambda: pair), client).cipher()
    assert cipher is not None
    assert cipher[0].startswith("ECDHE-")
    client.set_ciphers("ECDHE-ECDSA-AES128-SHA256")  # prohibited: CBC
    with pytest.raises(ssl.SSLError):
        shake_hands(server_context(lambda: pair), client)
