import socket

import pytest

from epp.gateway.ports import check_ports
from epp.gateway.processes import StartError


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def listener_everywhere():
    with socket.create_server(("", 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_are_no_matter(free_port):
    check_ports("127.0.0.1", [(free_port(), "port")])


def test_each_taken_port_is_named_with_the_flag_that_moves_it(listener, listener_everywhere, free_port):
    ports = [(listener, "port"), (free_port(), "grpc-port"), (listener_everywhere, "sim-port")]
    with pytest.raises(StartError) as caught:
        check_ports("127.0.0.1", ports)
    assert str(caught.value).splitlines() == [
        f"port {listener} is taken; --port chooses another",
        f"port {listener_everywhere} is taken; --sim-port chooses another",
    ]


def test_a_port_that_is_shared_is_taken():
    # As Envoy listens: the kernel would deal the connections out to both.
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} is taken"):
            check_ports("127.0.0.1", [(port, "port")])


def test_a_port_left_a_moment_ago_is_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # closed by the server first: its port stays in TIME_WAIT
    check_ports("127.0.0.1", [(port, "port")])


def test_an_address_that_is_not_ours_is_named_too():
    with pytest.raises(StartError, match=r"port 80 cannot be had \(.+\); --port"):
        check_ports("192.0.2.1", [(80, "port")])
