"""Decisions kept for /debug: a thousand of them, JSON-ready, without prompts and headers."""

from __future__ import annotations

import gc
import json
import random
import weakref
from typing import Any

import msgspec
import numpy as np
import pytest

from epp.plugins.fresh_endpoints_filter import FreshEndpointsFilter
from epp.plugins.kv_cache_utilization_scorer import KvCacheUtilizationScorer
from epp.plugins.max_score_picker import MaxScorePicker
from epp.plugins.queue_scorer import QueueScorer
from epp.scheduling.decision import (
    KEPT_CANDIDATES,
    KEPT_CHARACTERS,
    KEPT_DECISIONS,
    Decision,
    DecisionLog,
    describe_decision,
)
from epp.scheduling.profile import NamedFilter, NamedPicker, Profile, WeightedScorer
from epp.types import Api, ControlHeaders, InferenceRequest, ParsedBody, Prompt, Snapshot
from tests.pools import INTERVAL, NOW, everyone, load, request, store_of

SECRET = "SECRET"
BEST = NamedPicker("best", "max-score-picker", MaxScorePicker(2))


class Body(bytearray):
    """Bytes that can be watched for being forgotten."""


def secretive(data: bytes | Body = b"SECRET-prompt", **changes: Any) -> InferenceRequest:
    """A request with a secret wherever a client may put one."""
    fields: dict[str, Any] = {
        "id": "r-1",
        "path": f"/v1/chat/completions?key={SECRET}-query",
        "headers": {"authorization": f"{SECRET}-token", "cookie": f"{SECRET}-cookie"},
        "body": ParsedBody(
            Api.CHAT, "alias", stream=True, prompt=Prompt((memoryview(data),), 3, f"{SECRET}-salt")
        ),
        "controls": ControlHeaders("r-1", "gold", f"{SECRET}-user"),
        "target_model": "base",
        "priority": 7,
        "size": 99,
        "received_at": NOW,
    }
    return InferenceRequest(**(fields | changes))


def decided(asked: InferenceRequest) -> Decision:
    store = store_of(load(3, 0.25), load(0, 0.5))
    scorers = [
        WeightedScorer("queue", "queue-scorer", QueueScorer(), 2),
        WeightedScorer("kv", "kv-cache-utilization-scorer", KvCacheUtilizationScorer(), 1),
    ]
    return Profile("default", [], scorers, BEST).run(asked, everyone(store), random.Random(0))


def test_what_it_tells() -> None:
    log = DecisionLog()
    log.add(secretive(), decided(secretive()))
    [told] = log.latest(10)
    assert json.loads(json.dumps(told, allow_nan=False)) == {
        "request_id": "r-1",
        "path": "/v1/chat/completions",
        "api": "chat/completions",
        "model": "alias",
        "target_model": "base",
        "objective": "gold",
        "priority": 7,
        "stream": True,
        "body_bytes": 99,
        "profile": "default",
        "picked": ["192.168.1.2:8000", "192.168.1.1:8000"],
        "runner_up": "192.168.1.1:8000",
        "margin": 1.75,
        "removed": {},
        "weights": {"queue": 2, "kv": 1},
        "skipped": [],
        "candidates": [
            {
                "endpoint": "pod-1",
                "address": "192.168.1.2:8000",
                "total": 2.5,
                "scores": {"queue": 1, "kv": 0.5},
                "weighted": {"queue": 2, "kv": 0.5},
            },
            {
                "endpoint": "pod-0",
                "address": "192.168.1.1:8000",
                "total": 0.75,
                "scores": {"queue": 0, "kv": 0.75},
                "weighted": {"queue": 0, "kv": 0.75},
            },
        ],
    }


def test_what_filters_took_out() -> None:
    store = store_of(load(0, 0.0), load(0, 0.0), load(0, 0.0))
    stale = NamedFilter("fresh", "fresh-endpoints-filter", FreshEndpointsFilter(1.0))
    store.scraped("pod-1", load(0, 0.0), INTERVAL, NOW + 5)
    decision = Profile("p", [stale], [], BEST).run(request(), everyone(store, NOW + 5), random.Random(0))
    told = describe_decision(decision)
    assert told["removed"] == {"fresh": ["pod-0", "pod-2"]}
    assert (told["runner_up"], told["margin"]) == (None, None)


def test_of_large_pools_fewer_decisions_are_kept() -> None:
    log = DecisionLog()
    decision = decided(request())
    wide = msgspec.structs.replace(decision, candidates=np.zeros(KEPT_CANDIDATES // 4, np.intp))
    for number in range(6):
        log.add(request(request_id=str(number)), wide)
    assert log.kept == 4
    for number in range(3):
        log.add(request(request_id=str(number)), decision)
    assert log.kept == 6


def test_no_prompt_no_salt_no_query_and_no_headers() -> None:
    log = DecisionLog()
    log.add(secretive(), decided(secretive()))
    assert SECRET not in json.dumps(log.latest(10))


def test_a_kept_decision_does_not_hold_the_body() -> None:
    log = DecisionLog()
    body = Body(b"a prompt")
    seen = weakref.ref(body)
    asked = secretive(body)
    log.add(asked, decided(asked))
    del body, asked
    gc.collect()
    assert seen() is None
    assert len(log.latest(10)) == 1


@pytest.mark.parametrize("field", ["id", "path", "target_model"])
def test_texts_that_clients_choose_are_cut(field: str) -> None:
    log = DecisionLog()
    asked = secretive()
    setattr(asked, field, "x" * 100_000)
    log.add(asked, decided(asked))
    assert len(json.dumps(log.latest(10))) < 1000 + KEPT_CHARACTERS


def test_the_newest_come_first_and_a_thousand_are_kept() -> None:
    log = DecisionLog()
    decision = decided(request())
    for number in range(KEPT_DECISIONS + 5):
        log.add(request(request_id=str(number)), decision)
    latest = [told["request_id"] for told in log.latest(KEPT_DECISIONS * 2)]
    assert KEPT_DECISIONS == 1000
    assert latest == [str(number) for number in range(1004, 4, -1)]


@pytest.mark.parametrize(("limit", "told"), [(0, []), (2, ["2", "1"]), (9, ["2", "1", "0"])])
def test_a_limit(limit: int, told: list[str]) -> None:
    log = DecisionLog()
    for number in range(3):
        log.add(request(request_id=str(number)), decided(request()))
    assert [one["request_id"] for one in log.latest(limit)] == told


@pytest.mark.parametrize(("asked", "told"), [("a", 2), ("b", 1), ("c", 0), ("", 3)])
def test_one_request(asked: str, told: int) -> None:
    log = DecisionLog()
    for name in "aba":
        log.add(request(request_id=name), decided(request()))
    assert len(log.latest(10, asked)) == told


def test_a_decision_still_names_endpoints_that_left() -> None:
    store = store_of(load(0, 0.0))
    log = DecisionLog()
    decision = Profile("p", [], [], BEST).run(request(), everyone(store), random.Random(0))
    log.add(request(), decision)
    store.apply(Snapshot(None))
    [told] = log.latest(1)
    assert told["picked"] == ["192.168.1.1:8000"]
    assert [one["endpoint"] for one in told["candidates"]] == ["pod-0"]
