"""Which API server is spoken to, and as whom."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from epp.errors import ConfigError
from epp.kubernetes.access import find_access, from_kubeconfig, in_cluster
from epp.kubernetes.credentials import ExecPlugin
from epp.transport.self_signed import self_signed


def no_time() -> float:
    return 0.0


def kubeconfig(tmp_path: Path, cluster: str, user: str = "{}") -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(
        "current-context: c\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
        f"clusters: [{{name: c, cluster: {cluster}}}]\n"
        f"users: [{{name: u, user: {user}}}]\n"
    )
    return path


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    """A certificate and its key, PEM."""
    made = self_signed(["localhost"], [ip_address("127.0.0.1")], datetime.now(UTC))
    return made.certificate.decode(), made.key.decode()


async def test_a_pod_finds_its_cluster(tmp_path: Path, pair: tuple[str, str]) -> None:
    (tmp_path / "ca.crt").write_text(pair[0])
    (tmp_path / "token").write_text("abc")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    access = in_cluster(environ, no_time, tmp_path)
    assert access.server == "https://[fd00::1]:6443"
    assert access.tls is not None
    assert access.tls.verify_mode is ssl.CERT_REQUIRED
    assert await access.credentials.authorization() == "Bearer abc"


def test_a_pod_without_a_service_account_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ca\.crt: cannot be used"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, no_time, tmp_path)


async def test_kubectl_proxy_needs_nothing(tmp_path: Path) -> None:
    access = find_access(str(kubeconfig(tmp_path, "{server: 'http://127.0.0.1:8001/'}")), {}, no_time)
    assert access.server == "http://127.0.0.1:8001"
    assert access.tls is None
    assert await access.credentials.authorization() == ""


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ("{token: abc}", "Bearer abc"),
        ("{token: abc, tokenFile: t}", "Bearer from-file"),
        ("{username: me, password: secret}", "Basic bWU6c2VjcmV0"),
    ],
)
async def test_users_prove_themselves(tmp_path: Path, user: str, header: str) -> None:
    (tmp_path / "t").write_text("from-file")
    access = from_kubeconfig([kubeconfig(tmp_path, "{server: 'http://x'}", user)], {}, no_time)
    assert await access.credentials.authorization() == header


async def test_certificates_are_taken_from_files_and_from_the_kubeconfig(
    tmp_path: Path, pair: tuple[str, str]
) -> None:
    certificate, key = (base64.b64encode(text.encode()).decode() for text in pair)
    (tmp_path / "ca.crt").write_text(pair[0])
    for authority in ("certificate-authority: ca.crt", f"certificate-authority-data: {certificate}"):
        path = kubeconfig(
            tmp_path,
            f"{{server: 'https://x', {authority}, proxy-url: 'http://proxy:3128', tls-server-name: y}}",
            f"{{client-certificate-data: {certificate}, client-key-data: {key}}}",
        )
        access = from_kubeconfig([path], {}, no_time)
        assert access.tls is not None
        assert access.tls.cert_store_stats()["x509"] == 1
        assert (access.proxy, access.server_name) == ("http://proxy:3128", "y")


async def test_a_plugin_may_be_the_user(tmp_path: Path) -> None:
    user = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: login}}"
    path = kubeconfig(tmp_path, "{server: 'https://x', insecure-skip-tls-verify: true}", user)
    access = from_kubeconfig([path], {}, no_time)
    assert isinstance(access.credentials, ExecPlugin)
    assert access.tls is not None
    assert access.tls.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    "cluster",
    [
        "{server: 'https://x', certificate-authority: none}",
        "{server: 'https://x', certificate-authority-data: eA}",
    ],
)
def test_certificates_that_cannot_be_used_are_a_fault(tmp_path: Path, cluster: str) -> None:
    with pytest.raises(ConfigError, match="certificates cannot be used"):
        from_kubeconfig([kubeconfig(tmp_path, cluster)], {}, no_time)


def test_the_environment_is_asked_before_home(tmp_path: Path) -> None:
    home = tmp_path / ".kube" / "config"
    home.parent.mkdir()
    home.write_text(kubeconfig(tmp_path, "{server: 'http://home'}").read_text())
    assert find_access("", {"HOME": str(tmp_path)}, no_time).server == "http://home"
    named = kubeconfig(tmp_path, "{server: 'http://named'}")
    environ = {"HOME": str(tmp_path), "KUBECONFIG": f"{tmp_path}/none:{named}"}
    assert find_access("", environ, no_time).server == "http://named"


def test_without_any_way_the_fault_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no way to the API server"):
        find_access("", {"HOME": str(tmp_path)}, no_time)
    with pytest.raises(ConfigError, match="cannot be read"):
        find_access(str(tmp_path / "none"), {}, no_time)
