"""A whole picker for tests, of real parts but for its clock: what stands behind one ext_proc stream."""

from __future__ import annotations

import json
import random
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from epp.config.picker_config import PickerConfig
from epp.conversation import Conversation
from epp.datastore.store import Datastore
from epp.director import Director, DirectorSettings, Listeners
from epp.metrics import Metrics
from epp.scheduling.build import build_policy
from epp.scheduling.decision import DecisionLog
from epp.scheduling.default import DEFAULT_CONFIG
from epp.scheduling.watch import watcher
from epp.types import LoadSample, Rewrite
from tests.pools import INTERVAL, NOW, endpoint, store_of

T = TypeVar("T")


@dataclass
class Clock:
    """A clock that goes on when it is told to, seconds."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Poller:
    """Who is told that requests and loads came; says when more load can be expected."""

    requests: list[float] = field(default_factory=list)
    loads: list[tuple[str, float]] = field(default_factory=list)

    def requested(self, now: float) -> None:
        self.requests.append(now)

    def answered(self, name: str, now: float) -> float:
        self.loads.append((name, now))
        return INTERVAL


class Picker:
    """A pool with an endpoint for each of `loads` (None: it has told none), and all that decides over it."""

    def __init__(
        self,
        *loads: LoadSample | None,
        objectives: Mapping[str, int] | None = None,
        rewrites: Sequence[Rewrite] = (),
        config: PickerConfig = DEFAULT_CONFIG,
        settings: DirectorSettings | None = None,
        max_request_bytes: int = 1 << 20,
        director: type[Director] = Director,
    ) -> None:
        self.store: Datastore = store_of(*loads, objectives=objectives, rewrites=rewrites)
        self.clock = Clock()
        self.poller = Poller()
        self.metrics = Metrics()
        self.metrics.pool_known("vllm-qwen3-32b-pool", "default")
        self.decisions = DecisionLog()
        watching = watcher(self.metrics, self.clock)
        self.policy = build_policy(config, self.store, 2.0, watching)
        self.director = director(
            self.store,
            self.policy,
            self.decisions,
            self.metrics,
            Listeners(self.poller.requested, self.poller.answered),
            settings or DirectorSettings(),
            clock=self.clock,
            rng=random.Random(0),
        )
        self._max_request_bytes = max_request_bytes

    def conversation(self) -> Conversation:
        return Conversation(self.director, self._max_request_bytes)

    def in_flight(self, number: int) -> int:
        return int(self.store.endpoints.in_flight[endpoint(self.store, number).slot])

    @property
    def held(self) -> int:
        """Everything that requests hold, in whatever unit: 0 when nothing is held."""
        columns, shelves = self.store.endpoints, self.store.adapters.shelves.values()
        running = sum(value for name, value in self.samples().items() if "running_requests{model" in name)
        booked = int(abs(columns.in_flight).sum() + abs(columns.in_flight_tokens).sum())
        return booked + sum(len(shelf.in_flight) for shelf in shelves) + int(abs(running))

    def samples(self) -> dict[str, float]:
        """The page of metrics: `name{labels}` -> value; zeros are left out."""
        lines = "".join(self.metrics.exposition(openmetrics=False)).splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(("inference_", "epp_")))
        return {name.removesuffix("{}"): float(value) for name, value in pairs if float(value)}


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as result:
        value: T = result.value
        return value
    work.close()
    raise AssertionError("it waits")


def body_of(model: str = "base", prompt: str = "hello", **fields: Any) -> bytes:
    """A completions request."""
    return json.dumps({"model": model, "prompt": prompt, **fields}).encode()


def load_header(waiting: int, kv: float) -> tuple[str, str]:
    """The header in which vLLM tells its load."""
    told = f"named_metrics.num_requests_waiting={waiting}.0, named_metrics.kv_cache_usage_perc={kv}"
    return "endpoint-load-metrics", f"TEXT {told}"
