"""What one decision costs: reading the prompt's prefix, filters, scorers, picker, and noting where it went.

For pools of several sizes, with the default profile and with every scorer that has defaults: microseconds of
CPU (the best of several rounds), each decision for another prompt of 32 KB, of which a part was sent before.
Prints a table. Beside it stands what the reference publishes of its own micro-benchmark (BenchmarkSchedule:
queue, KV, prefix and LoRA scorers, no prompt to hash; Apple M4, after pull request 1171 of its project).

    python -m benchmarks.decisions [--endpoints 10 100 1000 5000] [--prompt-bytes 32768]
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np

from epp.config.picker import load_picker_config
from epp.datastore.store import Datastore
from epp.errors import ConfigError
from epp.plugin import Scorer
from epp.plugins.registry import OWN_TYPES
from epp.scheduling.build import build_policy
from epp.scheduling.decision import DecisionLog
from epp.scheduling.default import DEFAULT_TEXT
from epp.tables import render_table
from epp.types import (
    Api,
    ControlHeaders,
    EndpointSpec,
    InferenceRequest,
    LoadSample,
    ParsedBody,
    PoolSpec,
    Prompt,
    Snapshot,
)

PROMPTS = 64
ROUNDS = 7
NOW = 100.0
PUBLISHED = {5: 4.0, 25: 8.9, 100: 28.3}  # endpoints -> microseconds

HEAD = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"


def every_scorer() -> str:
    """A configuration with each type that is a scorer and needs no parameters."""
    text = HEAD + "plugins:\n"
    for name, plugin in OWN_TYPES.types.items():
        if issubclass(plugin.cls, Scorer):
            try:
                load_picker_config(f"{HEAD}plugins:\n- type: {name}\n", name, OWN_TYPES)
            except ConfigError:
                continue
            text += f"- type: {name}\n"
    return text


def store_of(endpoints: int, rng: random.Random) -> Datastore:
    store = Datastore()
    specs = [
        EndpointSpec(f"pod-{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 8000)
        for number in range(endpoints)
    ]
    store.apply(Snapshot(PoolSpec("bench"), tuple(specs)))
    for spec in specs:
        sample = LoadSample(rng.randrange(20), rng.randrange(64), rng.random(), 16, 30_000, 4, frozenset())
        store.scraped(spec.name, sample, 0.05, NOW)
    return store


def requests(size: int) -> list[InferenceRequest]:
    """Prompts that share their first half with others."""
    noise = np.random.default_rng(0)
    starts = [noise.bytes(size // 2) for _ in range(8)]
    made = []
    for number in range(PROMPTS):
        prompt = memoryview(starts[number % len(starts)] + noise.bytes(size - size // 2))
        body = ParsedBody(Api.CHAT, "base", prompt=Prompt((prompt,), size // 4))
        made.append(
            InferenceRequest(
                str(number), "/v1/chat/completions", {}, body, ControlHeaders(), "base", size=size
            )
        )
    return made


def measure(text: str, endpoints: int, size: int) -> float:
    """Microseconds for a decision."""
    rng = random.Random(0)
    store = store_of(endpoints, rng)
    policy = build_policy(load_picker_config(text, "bench", OWN_TYPES), store, staleness=1e9)
    scheduler, log, asked = policy.scheduler, DecisionLog(), requests(size)
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for number, request in enumerate(asked):
            candidates = store.candidates(None, NOW)
            decision = scheduler.run(request, candidates, rng)
            policy.observers.placed(request, decision)
            log.add(request, decision)
            endpoint = decision.picked[0]
            store.reserve(endpoint, 100, "base")
            # Between two decisions an endpoint tells its load.
            store.answered(endpoint, LoadSample(waiting=number % 7, kv_usage=0.5), 0.05, NOW)
        best = min(best, (time.process_time() - started) / len(asked) * 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[10, 100, 1000, 5000])
    parser.add_argument("--prompt-bytes", type=int, default=32 * 1024)
    arguments = parser.parse_args()
    rows = [
        (
            str(endpoints),
            f"{measure(DEFAULT_TEXT, endpoints, arguments.prompt_bytes):.0f}",
            f"{measure(every_scorer(), endpoints, arguments.prompt_bytes):.0f}",
            f"{PUBLISHED[endpoints]:g}" if endpoints in PUBLISHED else "?",
        )
        for endpoints in arguments.endpoints
    ]
    head = ("endpoints", "default profile us", "every scorer us", "reference us (published)")
    print("\n".join(render_table(head, rows)))


if __name__ == "__main__":
    main()
