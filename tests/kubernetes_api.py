"""A Kubernetes API server for tests: lists, watches and writes as the real one does; misbehaves when told to.

Objects live by the path of their collection. `put` and `delete` change them and tell the watches.
"""

from __future__ import annotations

import asyncio
import copy
import json
import ssl
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Object = dict[str, Any]

POOLS = "/apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools"
OLD_POOLS = "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/default/inferencepools"
OBJECTIVES = "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/default/inferenceobjectives"
REWRITES = "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/default/inferencemodelrewrites"
MODELS = "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/default/inferencemodels"
PODS = "/api/v1/namespaces/default/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(eq=False)
class _Watcher:
    path: str
    selected: Callable[[Object], bool]
    lines: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)


class KubernetesApi:
    """The server. `installed` has the collections that exist; others answer 404."""

    def __init__(self) -> None:
        self.installed = {POOLS, OBJECTIVES, REWRITES, PODS, LEASES}
        self.objects: dict[str, dict[str, Object]] = defaultdict(dict)
        self.failing: dict[str, tuple[int, str]] = {}  # path to the status and the message of every call
        self.delay = 0.0  # seconds before every answer
        self.silent = False  # watches are taken and never told anything
        self.token: str | None = None  # the only one that is let in
        self.reviews: dict[str, Callable[[Object], Object]] = {}  # status of a review by its spec
        self.requests: list[tuple[str, str, dict[str, str]]] = []  # method, path, query
        self.version = 100
        self._events: list[tuple[int, str, str, Object]] = []  # version, path, type, object
        self._compacted = 0  # what is older is forgotten
        self._watchers: set[_Watcher] = set()
        self._opened = asyncio.Event()
        self._pages: dict[str, list[Object]] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0
        self.tls: ssl.SSLContext | None = None

    # A server's life ------------------------------------------------------------------------------------

    async def __aenter__(self) -> KubernetesApi:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Also after `stop`, at the port from before."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(
            self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls
        ).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """As if the machine were gone."""
        self.cut()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # Objects ---------------------------------------------------------------------------------------------

    def put(self, path: str, value: Object) -> Object:
        """Makes the object, or replaces it."""
        value = copy.deepcopy(value)
        name = value["metadata"]["name"]
        known = name in self.objects[path]
        self.version += 1
        value["metadata"].update(resourceVersion=str(self.version), namespace="default")
        value["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        self.objects[path][name] = value
        self._tell(path, "MODIFIED" if known else "ADDED", value)
        return value

    def delete(self, path: str, name: str) -> None:
        value = copy.deepcopy(self.objects[path].pop(name))
        self.version += 1
        value["metadata"]["resourceVersion"] = str(self.version)
        self._tell(path, "DELETED", value)

    def _tell(self, path: str, kind: str, value: Object) -> None:
        self._events.append((self.version, path, kind, value))
        for watcher in self._watchers:
            if watcher.path == path:
                _queue_event(watcher, kind, value)

    # Misbehaviour ----------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Versions up to now are too old to watch from."""
        self._compacted = self.version
        self._events.clear()

    def say(self, path: str, line: bytes) -> None:
        """This line, to every watch of the collection."""
        for watcher in self._watchers:
            if watcher.path == path:
                watcher.lines.put_nowait(line + b"\n")

    def expire(self) -> None:
        """Every watch ends because its version is too old."""
        self.forget()
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
        for watcher in list(self._watchers):
            watcher.lines.put_nowait(_line("ERROR", status))
            watcher.lines.put_nowait(None)

    def bookmark(self) -> None:
        """Tells every watch the version."""
        for watcher in self._watchers:
            value = {"metadata": {"resourceVersion": str(self.version)}}
            watcher.lines.put_nowait(_line("BOOKMARK", value))

    def cut(self) -> None:
        """Every watch breaks off."""
        for watcher in list(self._watchers):
            watcher.lines.put_nowait(None)

    def watching(self, path: str) -> int:
        """How many watches of the collection there are."""
        return sum(watcher.path == path for watcher in self._watchers)

    async def watched(self, path: str) -> None:
        """Waits until there is a watch of the collection."""
        async with asyncio.timeout(10):
            while not self.watching(path):
                self._opened.clear()
                await self._opened.wait()

    def lists(self, path: str) -> int:
        """How often the collection was listed."""
        return sum(asked == path and "watch" not in query for _, asked, query in self.requests)

    # Answers ---------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path, query = request.path, dict(request.query)
        self.requests.append((request.method, path, query))
        await asyncio.sleep(self.delay)
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        for prefix, (status, message) in self.failing.items():
            if path.startswith(prefix):
                return _status(status, message)
        if path in self.reviews:
            sent = await request.json()
            return web.json_response({**sent, "status": self.reviews[path](sent["spec"])}, status=201)
        collection, _, name = path.rpartition("/")
        if path in self.installed:
            if request.method == "POST":
                return await self._create(path, request)
            return await self._watch(request, query) if "watch" in query else self._list(path, query)
        if collection in self.installed:
            return await self._one(collection, name, request)
        return _status(404, "the server could not find the requested resource")

    async def _create(self, path: str, request: web.Request) -> web.Response:
        value = await request.json()
        if value["metadata"]["name"] in self.objects[path]:
            return _status(409, "already exists")
        return web.json_response(self.put(path, value), status=201)

    async def _one(self, path: str, name: str, request: web.Request) -> web.Response:
        known = self.objects[path].get(name)
        if known is None:
            return _status(404, f'"{name}" not found')
        if request.method == "PUT":
            value = await request.json()
            if value["metadata"].get("resourceVersion") not in (None, known["metadata"]["resourceVersion"]):
                return _status(409, "the object has been modified")
            return web.json_response(self.put(path, value))
        return web.json_response(known)

    def _list(self, path: str, query: dict[str, str]) -> web.Response:
        if "continue" in query:
            items = self._pages.pop(query["continue"])
        else:
            items = [value for value in self.objects[path].values() if _selector(query)(value)]
        limit = int(query.get("limit", "0")) or len(items)
        metadata = {"resourceVersion": str(self.version)}
        if items[limit:]:
            metadata["continue"] = f"page-{len(self._pages)}"
            self._pages[metadata["continue"]] = items[limit:]
        return web.json_response({"kind": "List", "metadata": metadata, "items": items[:limit]})

    async def _watch(self, request: web.Request, query: dict[str, str]) -> web.StreamResponse:
        since = int(query["resourceVersion"])
        if since < self._compacted:
            return _status(410, "too old resource version")
        watcher = _Watcher(request.path, _selector(query))
        for version, path, kind, value in self._events:
            if path == request.path and version > since:
                _queue_event(watcher, kind, value)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self._watchers.add(watcher)
        self._opened.set()
        try:
            while (line := await watcher.lines.get()) is not None:
                if not self.silent:
                    await response.write(line)
        except ConnectionResetError:
            pass
        finally:
            self._watchers.discard(watcher)
        return response


def _queue_event(watcher: _Watcher, kind: str, value: Object) -> None:
    # An object that leaves the selection is as good as deleted; of one that was never in it nobody hears.
    if watcher.selected(value):
        watcher.lines.put_nowait(_line(kind, value))
    elif kind == "MODIFIED":
        watcher.lines.put_nowait(_line("DELETED", value))


def _selector(query: dict[str, str]) -> Callable[[Object], bool]:
    labels = dict(part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part)
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")

    def selected(value: Object) -> bool:
        metadata = value["metadata"]
        has = metadata.get("labels", {})
        return all(has.get(key) == wanted for key, wanted in labels.items()) and name in (
            "",
            metadata["name"],
        )

    return selected


def _line(kind: str, value: Object) -> bytes:
    return json.dumps({"type": kind, "object": value}).encode() + b"\n"


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


# Objects -------------------------------------------------------------------------------------------------


def pod(name: str, ip: str = "10.0.0.1", *, ready: bool = True, **metadata: Any) -> Object:
    """A pod as its kubelet reports it."""
    return {
        "metadata": {"name": name, "labels": {"app": "vllm"}, **metadata},
        "spec": {"containers": [{"name": "vllm", "image": "vllm"}]},
        "status": {
            "phase": "Running",
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def pool(name: str = "demo", *ports: int, **labels: str) -> Object:
    """An InferencePool v1."""
    return {
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels or {"app": "vllm"}},
            "targetPorts": [{"number": port} for port in ports or (8000,)],
            "endpointPickerRef": {"name": "epp", "port": {"number": 9002}},
        },
    }


def objective(
    name: str, priority: int, pool: str = "demo", group: str = "inference.networking.k8s.io"
) -> Object:
    """An InferenceObjective."""
    return {
        "metadata": {"name": name},
        "spec": {"priority": priority, "poolRef": {"name": pool, "group": group, "kind": "InferencePool"}},
    }
