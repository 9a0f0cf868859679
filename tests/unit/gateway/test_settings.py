import pytest

from epp.config.flags import parse_flags
from epp.errors import ConfigError
from epp.gateway.settings import GatewaySettings, TcpAddress, UnixAddress, read_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9002", TcpAddress("127.0.0.1", 9002)),
        ("epp.default:1", TcpAddress("epp.default", 1)),
        ("[::1]:65535", TcpAddress("::1", 65535)),
        ("unix:/run/epp.sock", UnixAddress("/run/epp.sock")),
    ],
)
def test_addresses(text, address):
    assert read_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9002",
        ":9002",
        "host:",
        "host:http",
        "::1:9002",
        "[host]:1",
        "host:0",
        "host:65536",
        "unix:",
        "host:²",
    ],
)
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match='"'):
        read_address(text)


def complaints(*argv):
    with pytest.raises(ConfigError) as caught:
        parse_flags(GatewaySettings, argv, program="epp envoy-config")
    return [f"{fault.path}: {fault.message}" for fault in caught.value.faults]


def test_every_fault_at_once():
    assert complaints("--host", "localhost", "--port", "0", "--picker", "9002", "--cluster", "dns") == [
        '--cluster: "dns" is not one of override_host, original_dst',
        '--host: "localhost" is no IP address',
        "--port: 0 is outside 1 to 65535",
        '--picker: "9002" is neither HOST:PORT, [IPV6]:PORT nor unix:PATH',
    ]


def test_an_authority_needs_something_to_vouch_for():
    assert complaints("--picker-ca=ca.pem", "--picker-tls=false") == [
        "--picker-ca: is of no use with --picker-tls=false"
    ]
    assert complaints("--picker-ca=ca.pem", "--picker=unix:/s") == [
        "--picker-ca: a Unix socket has no host for the certificate to name"
    ]
