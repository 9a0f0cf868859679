"""Kubeconfig files as kubectl would read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from epp.errors import ConfigError
from epp.kubernetes.kubeconfig import read_kubeconfig

FILE = """
apiVersion: v1
kind: Config
current-context: here
preferences: {}
clusters:
- name: near
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority: pki/ca.crt
    tls-server-name: kubernetes
    extensions: [{name: x, extension: {last-update: 2026-01-01}}]
contexts:
- {name: here, context: {cluster: near, user: me, namespace: default}}
users:
- name: me
  user:
    client-certificate: /abs/me.crt
    client-key: me.key
    exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/login, args: [now], env: null}
"""


def test_the_current_context_names_cluster_and_user() -> None:
    cluster, user = read_kubeconfig([(Path("/home/.kube/config"), FILE)])
    assert cluster.server == "https://10.0.0.1:6443"
    assert cluster.certificate_authority == "/home/.kube/pki/ca.crt"
    assert cluster.tls_server_name == "kubernetes"
    assert (user.client_certificate, user.client_key) == ("/abs/me.crt", "/home/.kube/me.key")
    assert user.exec is not None
    assert (user.exec.command, user.exec.args) == ("/home/.kube/bin/login", ["now"])


def test_of_several_files_the_first_counts() -> None:
    first = "current-context: here\nusers: [{name: me, user: {token: first}}]"
    cluster, user = read_kubeconfig([(Path("/a"), first), (Path("/b"), FILE)])
    assert (cluster.server, user.token) == ("https://10.0.0.1:6443", "first")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "/a: current-context: names no context"),
        ("current-context: away", "/a: current-context: there is no context 'away'"),
        ("current-context: [", "/a: is no kubeconfig"),
        ("clusters: 3", "/a: is no kubeconfig: Expected `array | null`, got `int` - at `$.clusters`"),
        (FILE.replace("cluster: near", "cluster: far"), "there is no cluster 'far'"),
        (FILE.replace("user: me,", ""), "contexts[here].user: names no user"),
        (FILE.replace("server:", "sever:"), "clusters[near].server: is needed"),
        (FILE.replace("    exec:", "    auth-provider: {name: gcp}\n    exec:"), "use an exec plugin"),
    ],
)
def test_a_context_that_leads_nowhere_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_kubeconfig([(Path("/a"), text)])
    assert message in str(caught.value)
