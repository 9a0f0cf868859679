"""Listening; addresses that cannot be had are in test_servers.py, for both servers."""

import errno
import socket

import pytest

from epp.transport.addresses import bind_error, listening_socket


def test_any_port() -> None:
    with listening_socket("127.0.0.1:0") as listener:
        assert listener.getsockname()[1] > 0
        assert not listener.getblocking()


def test_every_ipv6_address_takes_ipv4_too() -> None:
    with (
        listening_socket("[::]:0") as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client,
    ):
        assert client.getpeername()[1] == listener.getsockname()[1]


def test_port_of_somebody_else() -> None:
    with listening_socket("127.0.0.1:0") as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: port {port} is taken"):
            listening_socket(f"127.0.0.1:{port}")


def test_host_that_is_none() -> None:
    with pytest.raises(OSError, match=r"cannot listen on no\.such\.host\.invalid:1: "):
        listening_socket("no.such.host.invalid:1")


def test_words_for_unix_sockets() -> None:
    error = bind_error("unix:/a", OSError(errno.EADDRINUSE, "Address already in use"))
    assert str(error) == f"[Errno {errno.EADDRINUSE}] cannot listen on unix:/a: Address already in use"
