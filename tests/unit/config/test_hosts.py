import pytest

from epp.config.hosts import HostAddress, canonical_host, is_ip


@pytest.mark.parametrize(
    ("host", "canonical", "ip"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("2001:DB8:0::1", "2001:db8::1", True),
        ("::1", "::1", True),
        ("GPU-a.example", "gpu-a.example", False),
        ("localhost", "localhost", False),
        ("vllm_1", "vllm_1", False),
        ("1a.b2", "1a.b2", False),
        ("x" * 63 + ".y", "x" * 63 + ".y", False),
    ],
)
def test_takes_addresses_and_names(host: str, canonical: str, ip: bool) -> None:
    assert HostAddress().objection(host) is None
    assert canonical_host(host) == canonical
    assert is_ip(host) is ip


@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            "10.0.0.1:8000",
            "[::1]",
            "[::1]:8000",
            "http://a",
            "a/b",
            "a b",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
        ),
        *(
            "10.0.0.256",
            "10.1",
            "a.1",
            "127.1",
            "010.0.0.1",
            "1",
            "fe80::1%eth0",
            "caf\u00e9",
            "x" * 64,
            "a\n",
        ),
        ".".join(["x" * 49] * 6),
    ],
)
def test_objects_to_anything_else(host: str) -> None:
    objection = HostAddress().objection(host)
    assert objection is not None
    assert objection.startswith("has to be an IP address or a host name, without brackets or port, not ")
