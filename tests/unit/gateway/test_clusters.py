"""What the clusters do, seen with the real Envoy."""

import datetime
from ipaddress import ip_address

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from epp.gateway.eds import render_eds, write_eds
from epp.types import EndpointSpec


def certificate(*names):
    """A self-signed certificate for these, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stub picker")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.public_bytes(serialization.Encoding.PEM), private


LOOPBACK = x509.IPAddress(ip_address("127.0.0.1"))
LOCALHOST = x509.DNSName("localhost")
ELSEWHERE = x509.IPAddress(ip_address("192.0.2.1"))


@pytest.mark.parametrize(
    ("host", "names", "verified", "status"),
    [
        ("127.0.0.1", [ELSEWHERE], False, 200),
        ("127.0.0.1", [LOOPBACK], True, 200),
        ("127.0.0.1", [ELSEWHERE], True, 500),
        ("localhost", [LOCALHOST], True, 200),
        ("localhost", [LOOPBACK], True, 500),
    ],
)
async def test_the_pickers_certificate(
    stub_picker, backends, run_envoy, free_port, tmp_path, host, names, verified, status
):
    chain, key = certificate(*names)
    (tmp_path / "ca.pem").write_bytes(chain)
    port = free_port()
    await stub_picker.start(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, chain)]))
    stub_picker.destination = backends[0].address
    endpoints = [EndpointSpec("one", "127.0.0.1", backends[0].port)]
    authority = str(tmp_path / "ca.pem") if verified else ""
    client = await run_envoy(endpoints, picker=f"{host}:{port}", picker_ca=authority)
    assert (await client.get("/health")).status_code == status


async def test_a_picker_on_a_unix_socket(stub_picker, backends, run_envoy, tmp_path):
    address = f"unix:{tmp_path}/picker.sock"
    await stub_picker.start(address)
    stub_picker.destination = backends[0].address
    endpoints = [EndpointSpec("one", "127.0.0.1", backends[0].port)]
    client = await run_envoy(endpoints, picker=address, picker_tls=False)
    assert (await client.get("/health")).headers["x-served-by"] == backends[0].address


async def test_the_health_that_the_picker_reports(stub_picker, backends, run_envoy, free_port, eventually_ok):
    picker = f"127.0.0.1:{free_port()}"
    await stub_picker.start(picker)
    stub_picker.destination = backends[0].address
    endpoints = [EndpointSpec("one", "127.0.0.1", backends[0].port)]
    client = await run_envoy(endpoints, picker=picker, picker_tls=False, picker_health_check=True)
    assert (await client.get("/health")).status_code == 500
    stub_picker.healthy = True
    await eventually_ok(client, lambda answer: answer.status_code == 200)


async def test_endpoints_come_and_go_with_their_file(
    stub_picker, backends, run_envoy, free_port, tmp_path, eventually_ok
):
    picker = f"127.0.0.1:{free_port()}"
    await stub_picker.start(picker)
    client = await run_envoy([], picker=picker, picker_tls=False)
    for each in backends:
        # The picker is a step ahead of Envoy: an unknown endpoint is answered by one that is known, or 503.
        stub_picker.destination = each.address
        write_eds(tmp_path / "eds" / "eds.json", render_eds([EndpointSpec("now", "127.0.0.1", each.port)]))
        await eventually_ok(
            client, lambda answer, each=each: answer.headers.get("x-served-by") == each.address
        )
    write_eds(tmp_path / "eds" / "eds.json", render_eds([]))
    await eventually_ok(client, lambda answer: answer.status_code == 503)
