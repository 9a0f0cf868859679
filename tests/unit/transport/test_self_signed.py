import ipaddress
import socket
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from epp.transport.self_signed import own_addresses, own_names, self_signed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADDRESSES = [ipaddress.ip_address("10.1.2.3"), ipaddress.ip_address("::1")]


def test_what_the_certificate_says() -> None:
    pem = self_signed(["localhost", "epp"], ADDRESSES, NOW).certificate
    certificate = x509.load_pem_x509_certificate(pem)
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "epp"]
    assert names.get_values_for_type(x509.IPAddress) == ADDRESSES
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.value.ca, constraints.critical) == (False, True)
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    certificate.verify_directly_issued_by(certificate)


def test_ten_years_from_a_moment_ago() -> None:
    certificate = x509.load_pem_x509_certificate(self_signed(["localhost"], [], NOW).certificate)
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=3650)


def test_key_is_never_shown() -> None:
    assert repr(self_signed(["localhost"], [], NOW)) == "KeyPair(...)"


def test_this_host_is_named() -> None:
    assert own_names() == list(dict.fromkeys(["localhost", socket.gethostname()]))
    addresses = own_addresses()
    assert addresses[:2] == [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    assert len(addresses) == len(set(addresses))
