"""How the API server is reached: inside a cluster, by a kubeconfig, or through `kubectl proxy`."""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from epp.errors import ConfigError, Fault
from epp.kubernetes.credentials import (
    Credentials,
    CredentialsError,
    ExecPlugin,
    Fixed,
    TokenFile,
    basic,
    load_client_certificate,
)
from epp.kubernetes.kubeconfig import Cluster, User, read_kubeconfig
from epp.types import format_address

# Where the kubelet puts a pod's token and the cluster's certificate authority.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Access:
    """An API server, and how it is spoken to."""

    server: str  # URL without a slash at its end; a path is kept, as proxies of fleets have one
    credentials: Credentials
    tls: ssl.SSLContext | None = None  # None: plaintext
    server_name: str | None = None  # that the certificate has to have, if it is not the host
    proxy: str | None = None  # URL of an HTTP proxy


def find_access(kubeconfig: str, environ: Mapping[str, str], clock: Callable[[], float]) -> Access:
    """The access that kubectl and controllers would take: `kubeconfig` if it is given, $KUBECONFIG, the
    cluster that the picker runs in, ~/.kube/config.

    `clock`: monotonic seconds. ConfigError if there is none, or one with faults.
    """
    if kubeconfig:
        return from_kubeconfig([Path(kubeconfig)], environ, clock)
    if paths := [Path(name) for name in environ.get("KUBECONFIG", "").split(":") if name]:
        return from_kubeconfig([path for path in paths if path.exists()] or paths[:1], environ, clock)
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster(environ, clock)
    home = Path(environ.get("HOME", "/")) / ".kube" / "config"
    if home.exists():
        return from_kubeconfig([home], environ, clock)
    message = "there is no way to the API server: no --kubeconfig, no $KUBECONFIG, and this is no pod"
    raise ConfigError([Fault("command line", 0, "--kubeconfig", message)])


def in_cluster(
    environ: Mapping[str, str], clock: Callable[[], float], account: Path = SERVICE_ACCOUNT
) -> Access:
    """Access of a pod by its service account."""
    authority = account / "ca.crt"
    try:
        tls = ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([Fault(str(authority), 0, "", f"cannot be used: {error}")]) from None
    host = environ["KUBERNETES_SERVICE_HOST"]
    address = format_address(host, int(environ.get("KUBERNETES_SERVICE_PORT") or 443))
    return Access(f"https://{address}", TokenFile(account / "token", clock), tls)


def from_kubeconfig(paths: list[Path], environ: Mapping[str, str], clock: Callable[[], float]) -> Access:
    """Access by the current context of the files."""
    try:
        cluster, user = read_kubeconfig([(path, path.read_text(encoding="utf-8")) for path in paths])
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(paths[0]), 0, "", f"cannot be read: {error}")]) from None
    where = ", ".join(map(str, paths))
    try:
        tls = _tls(cluster, user) if cluster.server.startswith("https://") else None
    except (OSError, ssl.SSLError, binascii.Error, ValueError, CredentialsError) as error:
        raise ConfigError([Fault(where, 0, "", f"its certificates cannot be used: {error}")]) from None
    return Access(
        server=cluster.server.rstrip("/"),
        credentials=_credentials(user, tls, environ, clock),
        tls=tls,
        server_name=cluster.tls_server_name or None,
        proxy=cluster.proxy_url or None,
    )


def _tls(cluster: Cluster, user: User) -> ssl.SSLContext:
    authority = base64.b64decode(cluster.certificate_authority_data).decode()
    context = ssl.create_default_context(
        cafile=None if authority else cluster.certificate_authority or None, cadata=authority or None
    )
    if cluster.insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = _data(user.client_certificate_data, user.client_certificate)
    if certificate:
        load_client_certificate(context, certificate, _data(user.client_key_data, user.client_key))
    return context


def _data(encoded: str, path: str) -> bytes:
    if encoded:
        return base64.b64decode(encoded)
    return Path(path).read_bytes() if path else b""


def _credentials(
    user: User, tls: ssl.SSLContext | None, environ: Mapping[str, str], clock: Callable[[], float]
) -> Credentials:
    """What the user gave, in kubectl's order of precedence."""
    if user.token_file:
        return TokenFile(Path(user.token_file), clock)
    if user.token:
        return Fixed(f"Bearer {user.token}")
    if user.username:
        return basic(user.username, user.password)
    if user.exec is not None:
        return ExecPlugin(user.exec, tls, environ)
    return Fixed()
