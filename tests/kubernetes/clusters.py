"""The two API servers that the suite runs against, with one face: the tests' own, and the real one with etcd.

The real ones are those of envtest: KUBEBUILDER_ASSETS names the folder of the programs `etcd` and
`kube-apiserver`.
"""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol, Self

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from epp.kubernetes.access import Access, from_kubeconfig
from epp.kubernetes.credentials import Fixed
from tests.e2e.process import Process, eventually, free_ports
from tests.kubernetes_api import ACCESS_REVIEWS, MODELS, OLD_POOLS, PODS, TOKEN_REVIEWS, KubernetesApi, Object

CRDS = sorted((Path(__file__).parent / "crds").glob("*.yaml"))
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LLM_D_OBJECTIVES = "/apis/llm-d.ai/v1alpha2/namespaces/default/inferenceobjectives"

_ADMIN = "admin-token"


class Cluster(Protocol):
    """An API server with the CRDs installed, but for objectives of llm-d.ai."""

    @property
    def access(self) -> Access:
        """As somebody who may do everything."""

    async def put(self, path: str, value: Object) -> None:
        """Makes an object of the collection at `path`, or replaces it, its status included."""

    async def delete(self, path: str, name: str) -> None:
        """Removes it at once."""

    async def terminate(self, path: str, name: str) -> None:
        """Begins to remove it: it is still there, and about to go."""

    async def install_llm_d(self) -> None:
        """Installs the CRD that was not."""

    async def stop(self) -> None:
        """Kills the server."""

    async def start(self) -> None:
        """Starts it again, at the same address with the same objects."""

    async def reader(self, name: str) -> str:
        """A token of a new service account."""

    async def let_read(self, name: str, path: str) -> None:
        """Lets the service account get a nonResourceURL."""


class Mock:
    """The tests' own server."""

    def __init__(self) -> None:
        self._api = KubernetesApi()
        self._api.installed |= {OLD_POOLS, MODELS}
        self._allowed: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        self._api.reviews = {TOKEN_REVIEWS: _known, ACCESS_REVIEWS: self._allows}
        await self._api.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.stop()

    @property
    def access(self) -> Access:
        return Access(self._api.url, Fixed())

    async def put(self, path: str, value: Object) -> None:
        self._api.put(path, value)

    async def delete(self, path: str, name: str) -> None:
        self._api.delete(path, name)

    async def terminate(self, path: str, name: str) -> None:
        value = self._api.objects[path][name]
        value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self._api.put(path, value)

    async def install_llm_d(self) -> None:
        self._api.installed.add(LLM_D_OBJECTIVES)

    async def stop(self) -> None:
        await self._api.stop()

    async def start(self) -> None:
        await self._api.start()

    async def reader(self, name: str) -> str:
        return f"token-of-{name}"

    async def let_read(self, name: str, path: str) -> None:
        self._allowed.add((_user(name), path))

    def _allows(self, spec: Object) -> Object:
        return {"allowed": (spec["user"], spec["nonResourceAttributes"]["path"]) in self._allowed}


class Real:
    """etcd and kube-apiserver in `folder`, from `assets`."""

    def __init__(self, assets: Path, folder: Path) -> None:
        self._folder = folder
        client, peer, port = (first := free_ports(3)), first + 1, first + 2
        urls = [f"http://127.0.0.1:{number}" for number in (client, peer)]
        etcd = [
            str(assets / "etcd"),
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls={urls[0]}",
            f"--advertise-client-urls={urls[0]}",
            f"--listen-peer-urls={urls[1]}",
            f"--initial-advertise-peer-urls={urls[1]}",
            f"--initial-cluster=default={urls[1]}",
            "--unsafe-no-fsync",
        ]
        self._etcd = Answering(etcd, folder / "etcd.log", f"{urls[0]}/health", {})
        self._url = f"https://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {_ADMIN}"}
        server = [
            str(assets / "kube-apiserver"),
            f"--etcd-servers={urls[0]}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={folder}/certificates",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
            "--authorization-mode=RBAC",
            f"--token-auth-file={folder}/tokens.csv",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/accounts.key",
            f"--service-account-signing-key-file={folder}/accounts.key",
        ]
        self._server = Answering(server, folder / "kube-apiserver.log", f"{self._url}/readyz", headers)
        self._http = httpx.AsyncClient(
            base_url=self._url, headers=headers, verify=_trusting(), trust_env=False
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._write_files()
        await self._stack.enter_async_context(self._http)
        await self._stack.enter_async_context(self._etcd)
        await self._stack.enter_async_context(self._server)
        await eventually(lambda: self._is_there("/api/v1/namespaces/default"), "the namespace")
        for file in CRDS:
            if "llm-d" not in file.name:
                await self._install(file)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def access(self) -> Access:
        return from_kubeconfig([self._folder / "kubeconfig"], {}, lambda: 0.0)

    async def put(self, path: str, value: Object) -> None:
        one = f"{path}/{value['metadata']['name']}"
        if await self._is_there(one):
            current = (await self._http.get(one)).json()
            current["metadata"] |= value["metadata"]
            if path != PODS:  # whose specification cannot be changed, and whose defaults nobody repeats here
                current["spec"] = value["spec"]
            written = _done(await self._http.put(one, json=current))
        else:
            written = _done(await self._http.post(path, json=_typed(path, value)))
        if "status" in value:
            written["status"] = value["status"]
            _done(await self._http.put(f"{one}/status", json=written))

    async def delete(self, path: str, name: str) -> None:
        _done(await self._http.delete(f"{path}/{name}", params={"gracePeriodSeconds": "0"}))

    async def terminate(self, path: str, name: str) -> None:
        patch = {"metadata": {"finalizers": ["example.com/hold"]}}
        content = {"Content-Type": "application/merge-patch+json"}
        _done(await self._http.patch(f"{path}/{name}", json=patch, headers=content))
        await self.delete(path, name)

    async def install_llm_d(self) -> None:
        [file] = [file for file in CRDS if "llm-d" in file.name]
        await self._install(file)

    async def stop(self) -> None:
        await self._server.kill()

    async def start(self) -> None:
        await self._server.start()

    async def reader(self, name: str) -> str:
        path = "/api/v1/namespaces/default/serviceaccounts"
        _done(await self._http.post(path, json={"metadata": {"name": name}}))
        answer = _done(await self._http.post(f"{path}/{name}/token", json={"spec": {}}))
        token: str = answer["status"]["token"]
        return token

    async def let_read(self, name: str, path: str) -> None:
        root = "/apis/rbac.authorization.k8s.io/v1"
        rules = [{"nonResourceURLs": [path], "verbs": ["get"]}]
        _done(
            await self._http.post(f"{root}/clusterroles", json={"metadata": {"name": name}, "rules": rules})
        )
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
        }
        _done(await self._http.post(f"{root}/clusterrolebindings", json=binding))

    async def _install(self, file: Path) -> None:
        crd = yaml.safe_load(file.read_text())
        _done(await self._http.post(CRD_PATH, json=crd))
        spec = crd["spec"]
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        await eventually(lambda: self._is_there(path), path)

    async def _is_there(self, path: str) -> bool:
        return (await self._http.get(path)).status_code == 200

    def _write_files(self) -> None:
        (self._folder / "tokens.csv").write_text(f'{_ADMIN},admin,admin,"system:masters"\n')
        key = rsa.generate_private_key(65537, 2048)
        (self._folder / "accounts.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        kubeconfig = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self._url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": _ADMIN}}],
        }
        (self._folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))


class Answering(Process):
    """A server that is ready when `url` answers 200."""

    def __init__(self, argv: list[str], log: Path, url: str, headers: dict[str, str]) -> None:
        super().__init__(argv, log)
        self._url = url
        self._headers = headers

    async def ready(self) -> bool:
        try:
            async with httpx.AsyncClient(verify=_trusting(), trust_env=False) as client:
                return (await client.get(self._url, headers=self._headers)).status_code == 200
        except httpx.TransportError:
            return False


def _known(spec: Object) -> Object:
    name = spec["token"].removeprefix("token-of-")
    known = name != spec["token"]
    return {"authenticated": known, "user": {"username": _user(name)} if known else {}}


def _typed(path: str, value: Object) -> Object:
    """The object with what the server wants to be told of its type."""
    _, root, *parts = path.split("/")
    version = parts[0] if root == "api" else f"{parts[0]}/{parts[1]}"
    kinds = [yaml.safe_load(file.read_text())["spec"]["names"] for file in CRDS]
    kind = {names["plural"]: names["kind"] for names in kinds}.get(parts[-1], "Pod")
    return {"apiVersion": version, "kind": kind, **value}


def _user(name: str) -> str:
    return f"system:serviceaccount:default:{name}"


def _trusting() -> ssl.SSLContext:
    """TLS to a server whose certificate nobody signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _done(response: httpx.Response) -> dict[str, Any]:
    assert response.is_success, response.text
    answer: dict[str, Any] = response.json()
    return answer
