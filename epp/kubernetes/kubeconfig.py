"""Kubeconfig files: which cluster and which user the current context names.

The format is client-go's `v1.Config`. Several files are merged as kubectl does: the first that says something
counts. Paths in a file are relative to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from epp.errors import ConfigError, Fault

T = TypeVar("T")


class Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    """Where an API server is and how its certificate is checked."""

    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""  # base64
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class EnvVar(msgspec.Struct, frozen=True):
    """A variable for an exec plugin."""

    name: str
    value: str = ""


class Exec(msgspec.Struct, frozen=True, rename="camel"):
    """A program that prints credentials (client.authentication.k8s.io)."""

    api_version: str
    command: str
    args: list[str] | None = None
    env: list[EnvVar] | None = None


class User(msgspec.Struct, frozen=True, rename="kebab"):
    """How somebody proves who he is."""

    token: str = ""
    token_file: str = msgspec.field(name="tokenFile", default="")
    client_certificate: str = ""
    client_certificate_data: str = ""  # base64
    client_key: str = ""
    client_key_data: str = ""  # base64
    username: str = ""
    password: str = ""
    exec: Exec | None = None
    auth_provider: dict[str, object] | None = None  # removed from Kubernetes in 1.26


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    cluster: Cluster


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    user: User


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: _Context


class _File(msgspec.Struct, frozen=True):
    current: str = msgspec.field(name="current-context", default="")
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


def read_kubeconfig(files: Iterable[tuple[Path, str]]) -> tuple[Cluster, User]:
    """Cluster and user of the current context of `files`, each a path with its text, the first the strongest.

    ConfigError if a file cannot be read or the context leads nowhere.
    """
    current = ""
    clusters: dict[str, Cluster] = {}
    users: dict[str, User] = {}
    contexts: dict[str, _Context] = {}
    names = []
    for path, text in files:
        names.append(str(path))
        read = _read(path, text)
        current = current or read.current
        for cluster in read.clusters or ():
            clusters.setdefault(cluster.name, _placed(cluster.cluster, path, ("certificate_authority",)))
        for user in read.users or ():
            paths = ("token_file", "client_certificate", "client_key")
            users.setdefault(user.name, _with_plugin(_placed(user.user, path, paths), path))
        for context in read.contexts or ():
            contexts.setdefault(context.name, context.context)
    where = ", ".join(names) or "kubeconfig"
    context_ = _find(contexts, current, "context", "current-context", where)
    cluster_ = _find(clusters, context_.cluster, "cluster", f"contexts[{current}].cluster", where)
    user_ = _find(users, context_.user, "user", f"contexts[{current}].user", where)
    if not cluster_.server:
        raise _fault(where, f"clusters[{context_.cluster}].server", "is needed")
    if user_.auth_provider is not None:
        message = "is no longer supported by Kubernetes; use an exec plugin"
        raise _fault(where, f"users[{context_.user}].auth-provider", message)
    return cluster_, user_


def _read(path: Path, text: str) -> _File:
    try:
        document = yaml.load(text, yaml.CSafeLoader)
        # By way of JSON, because YAML's own types (dates in extensions) are no values of the format.
        return msgspec.json.decode(msgspec.json.encode(document or {}), type=_File)
    except (yaml.YAMLError, msgspec.MsgspecError, TypeError) as error:
        raise _fault(str(path), "", f"is no kubeconfig: {error}") from None


def _placed(value: T, path: Path, fields: tuple[str, ...]) -> T:
    """`value` with the file names in `fields` made absolute."""
    given = {name: str(path.parent / getattr(value, name)) for name in fields if getattr(value, name)}
    return msgspec.structs.replace(value, **given)  # type: ignore[type-var]


def _with_plugin(user: User, path: Path) -> User:
    """A plugin's command with a slash in it is relative to the file, too."""
    if user.exec is None or "/" not in user.exec.command:
        return user
    plugin = msgspec.structs.replace(user.exec, command=str(path.parent / user.exec.command))
    return msgspec.structs.replace(user, exec=plugin)


def _find(known: dict[str, T], name: str, kind: str, place: str, where: str) -> T:
    if name not in known:
        raise _fault(where, place, f"there is no {kind} {name!r}" if name else f"names no {kind}")
    return known[name]


def _fault(where: str, place: str, message: str) -> ConfigError:
    return ConfigError([Fault(where, 0, place, message)])
