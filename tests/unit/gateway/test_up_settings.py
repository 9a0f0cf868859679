import pytest

from epp.config.flags import parse_flags
from epp.errors import ConfigError
from epp.gateway.settings import TcpAddress
from epp.gateway.up_settings import UpSettings, read_backend


def settings(*argv):
    return parse_flags(UpSettings, argv, program="epp up")


def faults(*argv):
    with pytest.raises(ConfigError) as caught:
        settings(*argv)
    return [f"{fault.path}: {fault.message}" for fault in caught.value.faults]


def test_three_simulated_servers_unless_told_otherwise():
    assert list(settings().sim_ports) == [8001, 8002, 8003]
    assert list(settings("--sim", "1", "--sim-port", "9").sim_ports) == [9]
    assert not settings("--backend", "http://10.0.0.1:8000").sim_ports
    assert not settings("--pool", "pool.yaml").sim_ports


def test_every_port_that_has_to_be_free_has_a_flag_that_moves_it():
    assert settings("--sim", "2").ports == [
        (8080, "port"),
        (9002, "grpc-port"),
        (9003, "grpc-health-port"),
        (9090, "metrics-port"),
        (9901, "admin-port"),
        (8001, "sim-port"),
        (8002, "sim-port"),
    ]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--backend=http://a", "--pool=p"], ["--backend: cannot go together with --pool; give one"]),
        (["--sim=0"], ["--sim: has to be 1 to 100"]),
        (["--port=8002"], ["--sim-port: 8002 is already the port of --port"]),
        (["--grpc-port=9090"], ["--metrics-port: 9090 is already the port of --grpc-port"]),
        (["--metrics-port=0"], ["--metrics-port: 0 is no port; ports go from 1 to 65535"]),
        (["--sim-port=65534"], ["--sim-port: 65536 is no port; ports go from 1 to 65535"]),
        (["--sim=1000000000000"], ["--sim: has to be 1 to 100"]),
        (["--backend=https://a"], ['--backend: "https://a" is not of the form http://HOST:PORT']),
    ],
)
def test_faults(argv, expected):
    assert faults(*argv) == expected


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
        ("http://127.0.0.1:8000/", TcpAddress("127.0.0.1", 8000)),
        ("http://Server.Example", TcpAddress("server.example", 80)),
        ("http://[2001:DB8::1]:8000", TcpAddress("2001:db8::1", 8000)),
    ],
)
def test_backends(url, address):
    assert read_backend(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "https://a:1",
        "http://",
        "http://a/v1",
        "http://a?b",
        "http://a#b",
        "http://me:secret@a",
        "http://a:70000",
        "http://a:b",
        "http://[::1",
        "http://a b",
    ],
)
def test_what_is_no_backend(url):
    with pytest.raises(ValueError, match=r"\S"):
        read_backend(url)
