"""A profile at work, as transcripts: candidates and their loads in, the decision out."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from epp.datastore.endpoints import Candidates, Floats, Mask
from epp.datastore.store import Datastore
from epp.errors import NoEndpointError
from epp.plugin import Watcher
from epp.plugins.approx_prefix_cache_producer import ApproxPrefixCacheProducer
from epp.plugins.fresh_endpoints_filter import FreshEndpointsFilter
from epp.plugins.kv_cache_utilization_scorer import KvCacheUtilizationScorer
from epp.plugins.lora_affinity_scorer import LoraAffinityScorer
from epp.plugins.max_score_picker import MaxScorePicker
from epp.plugins.prefix_cache_scorer import PrefixCacheScorer
from epp.plugins.queue_scorer import QueueScorer
from epp.scheduling.decision import Decision, describe_decision
from epp.scheduling.profile import PATIENCE, NamedFilter, NamedPicker, Profile, WeightedScorer
from epp.types import InferenceRequest, Snapshot
from tests.pickers import Clock
from tests.plugins import Surroundings
from tests.pools import INTERVAL, NOW, address, endpoint, everyone, load, request, snapshot, spec, store_of

RNG = random.Random(0)


def transcript(decision: Decision) -> list[str]:
    """One line for each candidate, best first in the order picked, then the others."""
    lines = [f"removed {name}: {len(slots)}" for name, slots in decision.removed]
    for index, slot in enumerate(decision.candidates.tolist()):
        one = decision.roster[slot]
        assert one is not None
        scores = " ".join(
            f"{name} {values[index]:.4g}*{weight:g}"
            for (name, weight), values in zip(decision.weights.items(), decision.scores, strict=True)
        )
        lines.append(f"{one.spec.name}: {scores} = {decision.totals[index]:.4g}")
    return [*lines, "-> " + " ".join(one.spec.name for one in decision.picked)]


def best(endpoints: int = 1) -> NamedPicker:
    return NamedPicker("best", "max-score-picker", MaxScorePicker(endpoints))


def default_profile(store: Datastore, around: Surroundings | None = None) -> Profile:
    """The reference's four scorers with its default weights; LoRA affinity 1."""
    around = around or Surroundings(store)
    return Profile(
        "default",
        [NamedFilter("fresh", "fresh-endpoints-filter", FreshEndpointsFilter(2.0))],
        [
            WeightedScorer("queue", "queue-scorer", QueueScorer(), 2),
            WeightedScorer("kv", "kv-cache-utilization-scorer", KvCacheUtilizationScorer(), 2),
            WeightedScorer("prefix", "prefix-cache-scorer", around.set_up(PrefixCacheScorer()), 3),
            WeightedScorer("lora", "lora-affinity-scorer", around.set_up(LoraAffinityScorer()), 1),
        ],
        best(),
    )


@dataclass
class Fixed:
    """A scorer, or a filter, that always says the same; counts what it is told."""

    values: list[float]
    asked: list[int] = field(default_factory=list)

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        self.asked.append(len(endpoints))
        return np.array(self.values)


@dataclass
class Keep:
    """A filter that keeps the candidates of these names."""

    names: set[str]

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask:
        return np.array([endpoints.at(i).spec.name in self.names for i in range(len(endpoints))], bool)


def fixed_profile(*scores: list[float], weights: tuple[float, ...] = ()) -> Profile:
    scorers = [
        WeightedScorer(f"s{number}", "test-scorer", Fixed(values), weight)
        for number, (values, weight) in enumerate(zip(scores, weights or (1,) * len(scores), strict=True))
    ]
    return Profile("fixed", [], scorers, best(9))


class TestTranscripts:
    def test_the_shortest_queue_and_the_emptiest_cache(self) -> None:
        store = store_of(load(3, 0.2), load(0, 0.1), load(10, 0.2))
        decision = default_profile(store).run(request(b"test1"), everyone(store), RNG)
        assert transcript(decision) == [
            "pod-0: queue 0.7*2 kv 0.8*2 prefix 0*3 lora 1*1 = 4",
            "pod-1: queue 1*2 kv 0.9*2 prefix 0*3 lora 1*1 = 4.8",
            "pod-2: queue 0*2 kv 0.8*2 prefix 0*3 lora 1*1 = 2.6",
            "-> pod-1",
        ]

    def test_a_prompt_that_is_cached_outweighs_a_queue(self) -> None:
        store = store_of(load(3, 0.2), load(0, 0.1), load(10, 0.2))
        around = Surroundings(store)
        profile = default_profile(store, around)
        first = request(b"a long system prompt " * 50)
        around.shared(ApproxPrefixCacheProducer).placed(first, endpoint(store, 0), "default")
        decision = profile.run(request(b"a long system prompt " * 50), everyone(store), RNG)
        assert transcript(decision) == [
            "pod-0: queue 0.7*2 kv 0.8*2 prefix 1*3 lora 1*1 = 7",
            "pod-1: queue 1*2 kv 0.9*2 prefix 0*3 lora 1*1 = 4.8",
            "pod-2: queue 0*2 kv 0.8*2 prefix 0*3 lora 1*1 = 2.6",
            "-> pod-0",
        ]

    def test_the_adapter_that_is_loaded(self) -> None:
        store = store_of(
            load(0, 0.2, "foo", "bar", max_lora=4),
            load(0, 0.2, "foo", "sql-lora", max_lora=4),
            load(10, 0.2, "foo", "bar", max_lora=4),
        )
        decision = default_profile(store).run(request(model="sql-lora"), everyone(store), RNG)
        assert transcript(decision) == [
            "pod-0: queue 1*2 kv 0.8*2 prefix 0*3 lora 0.8*1 = 4.4",
            "pod-1: queue 1*2 kv 0.8*2 prefix 0*3 lora 1*1 = 4.6",
            "pod-2: queue 0*2 kv 0.8*2 prefix 0*3 lora 0.8*1 = 2.4",
            "-> pod-1",
        ]

    def test_an_endpoint_that_told_nothing_yet_is_not_the_idlest(self) -> None:
        store = store_of(load(50, 0.9), None, load(60, 0.9))
        decision = default_profile(store).run(request(), everyone(store), RNG)
        assert transcript(decision) == [
            "removed fresh: 1",
            "pod-0: queue 1*2 kv 0.1*2 prefix 0*3 lora 1*1 = 3.2",
            "pod-2: queue 0*2 kv 0.1*2 prefix 0*3 lora 1*1 = 1.2",
            "-> pod-0",
        ]

    def test_servers_without_metrics_take_turns(self) -> None:
        store = store_of(None, None)
        profile = default_profile(store)
        picked = []
        for _ in range(4):
            decision = profile.run(request(), everyone(store), RNG)
            store.reserve(decision.picked[0], 1, "base").release()
            picked += transcript(decision)
        assert picked[:3] == [
            "pod-0: queue 1*2 kv 0*2 prefix 0*3 lora 1*1 = 3",
            "pod-1: queue 1*2 kv 0*2 prefix 0*3 lora 1*1 = 3",
            "-> pod-0",
        ]
        assert picked[2::3] == ["-> pod-0", "-> pod-1", "-> pod-0", "-> pod-1"]

    def test_fallbacks_in_order(self) -> None:
        store = store_of(load(3, 0.2), load(0, 0.1), load(10, 0.2))
        one = default_profile(store)
        several = Profile("several", one.filters, one.scorers, best(3))
        decision = several.run(request(), everyone(store), RNG)
        assert [one.spec.name for one in decision.picked] == ["pod-1", "pod-0", "pod-2"]
        assert decision.destination == "192.168.1.2:8000,192.168.1.1:8000,192.168.1.3:8000"


class TestFilters:
    def profile(self, *keeps: set[str]) -> Profile:
        filters = [
            NamedFilter(f"keep-{number}", "test-filter", Keep(names)) for number, names in enumerate(keeps)
        ]
        return Profile("p", filters, [], best(9))

    def test_each_gets_what_the_one_before_left(self) -> None:
        store = store_of(None, None, None)
        profile = self.profile({"pod-0", "pod-1"}, {"pod-1", "pod-2"})
        assert transcript(profile.run(request(), everyone(store), RNG)) == [
            "removed keep-0: 1",
            "removed keep-1: 1",
            "pod-1:  = 0",
            "-> pod-1",
        ]

    def test_one_that_takes_nothing_out_is_not_mentioned(self) -> None:
        store = store_of(None)
        assert self.profile({"pod-0"}).run(request(), everyone(store), RNG).removed == ()

    @pytest.mark.parametrize("keeps", [[set()], [{"pod-0"}, {"pod-1"}], [set(), {"pod-0"}]])
    def test_when_nothing_is_left_there_is_no_endpoint(self, keeps: list[set[str]]) -> None:
        with pytest.raises(NoEndpointError):
            self.profile(*keeps).run(request(), everyone(store_of(None, None)), RNG)

    def test_scorers_see_what_the_filters_left(self) -> None:
        scorer = Fixed([0.5])
        profile = Profile(
            "p",
            [NamedFilter("k", "test-filter", Keep({"pod-1"}))],
            [WeightedScorer("s", "test-scorer", scorer, 1)],
            best(),
        )
        profile.run(request(), everyone(store_of(None, None, None)), RNG)
        assert scorer.asked == [1]


class TestScores:
    def test_totals_are_weighted_sums(self) -> None:
        profile = fixed_profile([0.5, 0.25], [0.0, 1.0], weights=(3, 0.5))
        decision = profile.run(request(), everyone(store_of(None, None)), RNG)
        assert decision.totals.tolist() == [1.5, 1.25]
        assert decision.weights == {"s0": 3, "s1": 0.5}

    def test_scores_outside_0_to_1_are_cut(self) -> None:
        decision = fixed_profile([-3, 7, math.inf]).run(request(), everyone(store_of(None, None, None)), RNG)
        assert decision.scores[0].tolist() == [0, 1, 1]

    def test_no_scorers_is_a_tie(self) -> None:
        store = store_of(None, None)
        store.reserve(endpoint(store, 0), 1, "base")
        assert fixed_profile().run(request(), everyone(store), RNG).picked[0] is endpoint(store, 1)


def test_every_plugin_is_watched() -> None:
    ticks = iter(range(100))
    seen: list[tuple[str, str, str, float]] = []
    watcher = Watcher(
        lambda: next(ticks) ** 2 / 1024, lambda *plugin: lambda took: seen.append((*plugin, took * 1024))
    )
    filters = [NamedFilter("keep", "test-filter", Keep({"pod-0"}))]
    scorers = [WeightedScorer(name, "test-scorer", Fixed([1]), 1) for name in ("a", "b")]
    Profile("p", filters, scorers, best(), watcher).run(request(), everyone(store_of(None)), RNG)
    assert seen == [
        ("Filter", "test-filter", "keep", 1.0),
        ("Scorer", "test-scorer", "a", 5.0),
        ("Scorer", "test-scorer", "b", 9.0),
        ("Picker", "max-score-picker", "best", 13.0),
    ]


@dataclass
class Loaded:
    """A scorer that follows from loads alone; counts its calls."""

    load_only: ClassVar[bool] = True
    calls: int = 0

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        self.calls += 1
        return 1.0 - endpoints.kv_usage


class TestLoadOnly:
    def test_it_runs_when_a_load_or_the_candidates_change(self) -> None:
        store = store_of(load(0, 0.5), load(0, 0.25))
        scorer = Loaded()
        profile = Profile("p", [], [WeightedScorer("s", "test-scorer", scorer, 2)], best())

        def totals() -> list[float]:
            return profile.run(request(), everyone(store), RNG).totals.tolist()

        assert [totals(), totals()] == [[1.0, 1.5]] * 2
        assert scorer.calls == 1
        store.scraped("pod-0", load(0, 0.5), INTERVAL, NOW)  # the same again
        assert (totals(), scorer.calls) == ([1.0, 1.5], 1)
        store.scraped("pod-0", load(0, 0.75), INTERVAL, NOW)
        assert (totals(), scorer.calls) == ([0.5, 1.5], 2)
        store.apply(snapshot(spec(0)))
        assert (totals(), scorer.calls) == ([0.5], 3)
        subset = store.candidates(frozenset({address(0)}), NOW)
        assert profile.run(request(), subset, RNG).totals.tolist() == [0.5]
        assert scorer.calls == 4

    def test_a_decision_keeps_its_scores(self) -> None:
        store = store_of(load(0, 0.5))
        profile = Profile("p", [], [WeightedScorer("s", "test-scorer", Loaded(), 1)], best())
        decision = profile.run(request(), everyone(store), RNG)
        store.scraped("pod-0", load(0, 0.75), INTERVAL, NOW)
        profile.run(request(), everyone(store), RNG)
        assert decision.scores.tolist() == [[0.5]]


@dataclass
class Says:
    """A filter, scorer or picker that says what it is told to, or raises it."""

    what: Any
    clock: Clock | None = None

    def _say(self) -> Any:
        if self.clock is not None:
            self.clock.now += 2 * PATIENCE
        if isinstance(self.what, Exception):
            raise self.what
        return self.what

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Any:
        return self._say()


@dataclass
class FilterSays(Says):
    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Any:
        return self._say()


@dataclass
class PickerSays(Says):
    def pick(self, totals: Floats, endpoints: Candidates, rng: random.Random) -> Any:
        return self._say()


class TestMisbehaviour:
    """Each way to misbehave: the plugin is left out, counted, and the request goes on."""

    def setup_method(self) -> None:
        self.store = store_of(load(0, 0.5), load(0, 0.25))
        self.clock = Clock()
        self.seen: list[tuple[str, str, str, str]] = []
        self.watcher = Watcher(
            self.clock,
            misbehaved=lambda kind, name, how, error: self.seen.append(
                (kind, name, how, type(error).__name__)
            ),
        )

    def run(
        self,
        filters: list[NamedFilter] | None = None,
        scorers: list[WeightedScorer] | None = None,
        picker: NamedPicker | None = None,
    ) -> Decision:
        good = WeightedScorer("kv", "kv-cache-utilization-scorer", KvCacheUtilizationScorer(), 1)
        profile = Profile("p", filters or [], [*(scorers or []), good], picker or best(), self.watcher)
        return profile.run(request(), everyone(self.store), RNG)

    @pytest.mark.parametrize(
        ("what", "how", "error"),
        [
            (ZeroDivisionError(), "raised", "ZeroDivisionError"),
            ("text", "raised", "ValueError"),
            (None, "not a number", "NoneType"),
            (np.ones(3), "wrong shape", "NoneType"),
            (np.ones((2, 2)), "wrong shape", "NoneType"),
            (np.array([1.0]), "wrong shape", "NoneType"),
            ([1.0, 0.0, 0.0], "raised", "ValueError"),
            (np.array([math.nan, 1.0]), "not a number", "NoneType"),
            (math.nan, "not a number", "NoneType"),
        ],
    )
    def test_a_scorer(self, what: Any, how: str, error: str) -> None:
        decision = self.run(scorers=[WeightedScorer("bad", "bad-scorer", Says(what), 5)])
        assert self.seen == [("bad-scorer", "bad", how, error)]
        assert decision.skipped == ("bad",)
        assert decision.totals.tolist() == [0.5, 0.75]

    def test_a_slow_scorer(self) -> None:
        decision = self.run(scorers=[WeightedScorer("bad", "bad-scorer", Says(1.0, self.clock), 5)])
        assert self.seen == [("bad-scorer", "bad", "too slow", "NoneType")]
        assert decision.totals.tolist() == [0.5, 0.75]

    def test_a_load_only_scorer_is_asked_again(self) -> None:
        scorer = Says(ValueError())
        scorer.load_only = True  # type: ignore[attr-defined]
        profile = Profile("p", [], [WeightedScorer("s", "bad-scorer", scorer, 1)], best(), self.watcher)
        profile.run(request(), everyone(self.store), RNG)
        scorer.what = 0.5
        assert profile.run(request(), everyone(self.store), RNG).totals.tolist() == [0.5, 0.5]

    @pytest.mark.parametrize(
        ("what", "how", "error"),
        [
            (KeyError("secret"), "raised", "KeyError"),
            (np.zeros(3, bool), "wrong shape", "NoneType"),
            (np.zeros(2), "wrong shape", "NoneType"),
            ([True, False], "wrong shape", "NoneType"),
        ],
    )
    def test_a_filter(self, what: Any, how: str, error: str) -> None:
        decision = self.run(filters=[NamedFilter("bad", "bad-filter", FilterSays(what))])
        assert self.seen == [("bad-filter", "bad", how, error)]
        assert len(decision.candidates) == 2

    def test_a_slow_filter(self) -> None:
        bad = NamedFilter("bad", "bad-filter", FilterSays(np.zeros(2, bool), self.clock))
        assert len(self.run(filters=[bad]).candidates) == 2
        assert self.seen == [("bad-filter", "bad", "too slow", "NoneType")]

    @pytest.mark.parametrize(
        ("what", "how", "error"),
        [
            (IndexError(), "raised", "IndexError"),
            ([], "no such endpoint", "NoneType"),
            ([2], "no such endpoint", "NoneType"),
            ([0, -1], "no such endpoint", "NoneType"),
            (None, "raised", "TypeError"),
        ],
    )
    def test_a_picker(self, what: Any, how: str, error: str) -> None:
        decision = self.run(picker=NamedPicker("bad", "bad-picker", PickerSays(what)))
        assert self.seen == [("bad-picker", "bad", how, error)]
        assert decision.picked == (endpoint(self.store, 1),)


def test_the_instrument() -> None:
    assert repr(default_profile(store_of())) == "<Profile default: queue*2 kv*2 prefix*3 lora*1>"


def test_a_decision_keeps_its_values_when_the_pool_goes_on() -> None:
    store = store_of(load(3, 0.2), load(0, 0.1))
    decision = default_profile(store).run(request(), everyone(store), RNG)
    before = transcript(decision)
    store.scraped("pod-0", load(0, 0.9), INTERVAL, NOW)
    store.apply(Snapshot(None))
    assert transcript(decision) == before


@dataclass
class Explaining(Fixed):
    """Says what its scores are made of; or something else."""

    told: Any = None

    @property
    def terms(self) -> Any:
        if isinstance(self.told, Exception):
            raise self.told
        return lambda: self.told


def made_of(told: Any) -> list[dict[str, Any]]:
    """What a decision between two shows of it, by candidate."""
    store = store_of(load(0, 0.0), load(0, 0.0))
    plugin = Explaining([1.0, 0.5], told={})
    scorer = WeightedScorer("why", "test-scorer", plugin, 1)
    other = WeightedScorer("other", "test-scorer", Fixed([0.0, 0.0]), 1)
    profile = Profile("default", [], [scorer, other], best())
    plugin.told = told
    decision = profile.run(request(), everyone(store), RNG)
    assert decision.picked == (endpoint(store, 0),)
    return [each.get("terms", {}).get("why", {}) for each in describe_decision(decision)["candidates"]]


class TestTerms:
    def test_those_of_each_candidate(self) -> None:
        assert made_of({"queue s": np.array([0.0, 2.5])}) == [{"queue s": 0.0}, {"queue s": 2.5}]

    @pytest.mark.parametrize(
        "told",
        [
            {"a": np.zeros(3)},
            {"a": None},
            None,
            7,
            OSError(),
            AttributeError(),
        ],
        ids=repr,
    )
    def test_what_cannot_be_told_harms_nobody(self, told: Any) -> None:
        assert made_of(told) == [{}, {}]

    def test_a_profile_without_them_shows_none(self) -> None:
        store = store_of(load(0, 0.0))
        decision = fixed_profile([1.0]).run(request(), everyone(store), RNG)
        assert "terms" not in describe_decision(decision)["candidates"][0]
