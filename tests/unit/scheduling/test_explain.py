"""Why an endpoint was chosen, told in a header, in metadata and to people."""

from __future__ import annotations

import json
import random

import msgspec
import numpy as np

from epp.datastore.store import Datastore
from epp.plugins.fresh_endpoints_filter import FreshEndpointsFilter
from epp.plugins.kv_cache_utilization_scorer import KvCacheUtilizationScorer
from epp.plugins.max_score_picker import MaxScorePicker
from epp.plugins.queue_scorer import QueueScorer
from epp.scheduling.decision import Decision, DecisionLog, describe_decision
from epp.scheduling.explain import compact, endpoint_scores, explanation
from epp.scheduling.profile import NamedFilter, NamedPicker, Profile, WeightedScorer
from tests.pools import INTERVAL, NOW, everyone, load, request, store_of

BEST = NamedPicker("best", "max-score-picker", MaxScorePicker())


def decided(store: Datastore, name: str = "default") -> Decision:
    profile = Profile(
        name,
        [NamedFilter("fresh", "fresh-endpoints-filter", FreshEndpointsFilter(1.0))],
        [
            WeightedScorer("queue", "queue-scorer", QueueScorer(), 2),
            WeightedScorer("kv", "kv-cache-utilization-scorer", KvCacheUtilizationScorer(), 1),
        ],
        BEST,
    )
    return profile.run(request(), everyone(store), random.Random(0))


def three() -> Datastore:
    """Two endpoints that tell their load and one that stopped."""
    store = store_of(load(3, 0.25), load(0, 0.5), None)
    store.scraped("pod-2", load(0, 0.0), INTERVAL, NOW - 9)
    return store


def test_a_header() -> None:
    told = compact(decided(three()))
    assert told.isascii()
    assert "\n" not in told
    assert json.loads(told) == {
        "profile": "default",
        "picked": "pod-1",
        "runner_up": "pod-0",
        "margin": 1.75,
        "removed": {"fresh": 1},
        "weights": {"queue": 2, "kv": 1},
        "candidates": [
            ["pod-1", 2.5, {"queue": 1, "kv": 0.5}],
            ["pod-0", 0.75, {"queue": 0, "kv": 0.75}],
        ],
    }


def test_addresses_are_not_for_clients() -> None:
    assert "192.168" not in compact(decided(three()))


def test_a_header_has_the_best_five_and_a_bound() -> None:
    store = store_of(*[load(number, 0.0) for number in range(50)])
    told = json.loads(compact(decided(store)))
    assert [name for name, *_ in told["candidates"]] == [f"pod-{number}" for number in range(5)]
    assert len(compact(decided(store, name="x" * 9000))) <= 4000


def test_one_candidate_has_no_runner_up() -> None:
    told = json.loads(compact(decided(store_of(load(0, 0.5)))))
    assert "runner_up" not in told
    assert "margin" not in told


def test_the_runner_up_is_the_fallback_that_was_picked() -> None:
    store = store_of(load(0, 0.5), load(0, 0.5), load(0, 0.5))
    for number in (0, 2):  # used later than pod-1
        store.reserve(store.endpoints.by_name[f"pod-{number}"], 1, "base")
    two = NamedPicker("best", "max-score-picker", MaxScorePicker(2))
    decision = Profile("p", [], [], two).run(request(), everyone(store), random.Random(0))
    assert [endpoint.spec.name for endpoint in decision.picked] == ["pod-1", "pod-0"]
    assert json.loads(compact(decision))["runner_up"] == "pod-0"
    assert describe_decision(decision)["runner_up"] == "192.168.1.1:8000"


def test_metadata() -> None:
    assert endpoint_scores(decided(three())) == {"192.168.1.2:8000": 2.5, "192.168.1.1:8000": 0.75}
    many = store_of(*[load(number, 0.0) for number in range(200)])
    scores = endpoint_scores(decided(many))
    assert len(scores) == 100
    assert next(iter(scores)) == "192.168.1.1:8000"


def test_for_people() -> None:
    log = DecisionLog()
    log.add(request(model="alias", target="base", priority=7), decided(three()))
    [told] = log.latest(1)
    assert list(explanation(told)) == [
        "request   r",
        "model     alias -> base, priority 7",
        "profile   default",
        "picked    192.168.1.2:8000",
        "runner-up 192.168.1.1:8000, margin 1.75",
        "removed   by fresh: pod-2",
        "",
        "endpoint  address           queue x2   kv x1   total",
        "pod-1     192.168.1.2:8000    1.0000  0.5000  2.5000",
        "pod-0     192.168.1.1:8000    0.0000  0.7500  0.7500",
    ]


def test_totals_can_be_recomputed_by_hand() -> None:
    log = DecisionLog()
    log.add(request(), decided(three()))
    [told] = log.latest(1)
    for candidate in told["candidates"]:
        weighted = {name: score * told["weights"][name] for name, score in candidate["scores"].items()}
        assert candidate["weighted"] == weighted
        assert candidate["total"] == sum(weighted.values())


def test_what_scores_are_made_of() -> None:
    log = DecisionLog()
    terms = {"queue": lambda: {"requests": np.array([3.0, 0.0]), "queue s": np.array([1.25, 0.0])}}
    log.add(request(), msgspec.structs.replace(decided(three()), terms=terms))
    [told] = log.latest(1)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert list(explanation(told))[-5:] == [
        "",
        "queue",
        "endpoint  requests  queue s",
        "pod-1        0.000    0.000",
        "pod-0        3.000    1.250",
    ]
