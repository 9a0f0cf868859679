"""Small pools for tests: endpoints by number, their load, and requests for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from epp.datastore.endpoints import Candidates, Endpoint, Floats, Mask
from epp.datastore.store import Datastore
from epp.types import (
    Api,
    ControlHeaders,
    EndpointSpec,
    InferenceRequest,
    LoadSample,
    Objective,
    ParsedBody,
    PoolSpec,
    Prompt,
    Rewrite,
    Snapshot,
)

POOL = PoolSpec("vllm-qwen3-32b-pool")
INTERVAL = 0.05  # seconds between two scrapes, the reference's --refresh-metrics-interval
NOW = 100.0  # the time of every decision that names none


def spec(number: int, *, ready: bool = True, engine: str = "vllm", zone: str = "a") -> EndpointSpec:
    """Endpoint `pod-<number>` at 192.168.1.<number + 1>:8000."""
    host = f"192.168.1.{number + 1}"
    return EndpointSpec(f"pod-{number}", host, 8000, {"zone": zone}, engine, ready)


def address(number: int) -> str:
    return spec(number).address


def labelled(*labels: Mapping[str, str]) -> Datastore:
    """A pool with an endpoint for each of `labels`."""
    store = Datastore()
    store.apply(snapshot(*[replace(spec(number), labels=own) for number, own in enumerate(labels)]))
    return store


def snapshot(
    *specs: EndpointSpec, objectives: Sequence[Objective] = (), rewrites: Sequence[Rewrite] = ()
) -> Snapshot:
    return Snapshot(POOL, specs, tuple(objectives), tuple(rewrites))


def load(waiting: int | None = None, kv: float | None = None, *adapters: str, **more: int) -> LoadSample:
    """What a metrics page tells: queue, KV use, adapters in flight, and further fields by name."""
    return LoadSample(waiting=waiting, kv_usage=kv, adapters=frozenset(adapters), **more)


def store_of(
    *loads: LoadSample | None, objectives: Mapping[str, int] | None = None, rewrites: Sequence[Rewrite] = ()
) -> Datastore:
    """A pool with an endpoint for each of `loads`, told at `NOW`; None: it has not told any."""
    store = Datastore()
    priorities = [Objective(name, priority) for name, priority in (objectives or {}).items()]
    store.apply(snapshot(*map(spec, range(len(loads))), objectives=priorities, rewrites=rewrites))
    for number, sample in enumerate(loads):
        if sample is not None:
            store.scraped(f"pod-{number}", sample, INTERVAL, NOW)
    return store


def endpoint(store: Datastore, number: int) -> Endpoint:
    return store.endpoints.by_name[f"pod-{number}"]


def everyone(store: Datastore, now: float = NOW) -> Candidates:
    """All ready endpoints as candidates."""
    return store.candidates(None, now)


def request(
    prompt: bytes = b"",
    model: str = "base",
    *,
    target: str = "",
    priority: int = 0,
    request_id: str = "r",
    headers: Mapping[str, str] | None = None,
    received_at: float = NOW,
) -> InferenceRequest:
    parts = (memoryview(prompt),) if prompt else ()
    body = ParsedBody(Api.COMPLETIONS, model, prompt=Prompt(parts, len(prompt) // 4))
    return InferenceRequest(
        id=request_id,
        path="/v1/completions",
        headers=headers or {},
        body=body,
        controls=ControlHeaders(request_id=request_id),
        target_model=target or model,
        priority=priority,
        size=len(prompt),
        received_at=received_at,
    )


def per_candidate(scores: Floats | float, endpoints: Candidates) -> list[float]:
    """What a scorer says of each candidate: one number counts for all."""
    found: list[float] = np.broadcast_to(scores, len(endpoints)).tolist()
    return found


def who_stays(mask: Mask | None, endpoints: Candidates) -> list[str]:
    """The names of the candidates that a filter keeps: None keeps all."""
    kept = range(len(endpoints)) if mask is None else mask.nonzero()[0]
    return [endpoints.at(int(index)).spec.name for index in kept]
