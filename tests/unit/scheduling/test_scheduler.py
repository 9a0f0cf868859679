"""Several profiles and their handler."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from epp.datastore.endpoints import Candidates, Mask
from epp.datastore.store import Datastore
from epp.errors import NoEndpointError
from epp.plugin import Conclusion, Results, Watcher
from epp.plugins.max_score_picker import MaxScorePicker
from epp.scheduling.profile import NamedFilter, NamedPicker, Profile
from epp.scheduling.scheduler import NamedHandler, Scheduler
from epp.types import InferenceRequest
from tests.pools import everyone, request, store_of

RNG = random.Random(0)


@dataclass
class Only:
    """A filter that keeps the endpoint of this name."""

    name: str

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask:
        return np.array([endpoints.at(i).spec.name == self.name for i in range(len(endpoints))], bool)


def profile(name: str, endpoint: str) -> Profile:
    """One that chooses `endpoint`."""
    picker = NamedPicker("best", "max-score-picker", MaxScorePicker())
    return Profile(name, [NamedFilter("only", "only-filter", Only(endpoint))], [], picker)


@dataclass
class Plan:
    """A handler that runs its steps one after the other, and concludes as it is told."""

    steps: list[list[str]]
    conclude_with: Callable[[Results], Conclusion]

    def next_profiles(self, request: InferenceRequest, endpoints: Candidates, done: Results) -> Sequence[str]:
        return self.steps.pop(0) if self.steps else []

    def conclude(self, request: InferenceRequest, done: Results) -> Conclusion:
        return self.conclude_with(done)


def prefilled_by(done: Results) -> Conclusion:
    prefill = done["prefill"]
    return Conclusion("decode", (("x-prefiller", prefill.picked[0].address),) if prefill else ())


def scheduler(plan: Plan, watcher: Watcher = Watcher(), prefill: str = "pod-0") -> Scheduler:  # noqa: B008
    profiles = {"decode": profile("decode", "pod-1"), "prefill": profile("prefill", prefill)}
    return Scheduler(profiles, NamedHandler("plan", "plan-handler", plan), watcher)


@pytest.fixture
def store() -> Datastore:
    return store_of(None, None)


@pytest.mark.parametrize(
    "steps", [[["decode"], ["prefill"]], [["decode", "prefill"]], [["prefill", "prefill"], ["decode"]]]
)
def test_one_decision_of_several_results(steps: list[list[str]], store: Datastore) -> None:
    decision = scheduler(Plan(steps, prefilled_by)).run(request(), everyone(store), RNG)
    assert decision.profile == "decode"
    assert decision.destination == "192.168.1.2:8000"
    assert decision.headers == (("x-prefiller", "192.168.1.1:8000"),)
    assert [other.profile for other in decision.others] == ["prefill"]


def test_a_profile_that_finds_nothing(store: Datastore) -> None:
    plan = Plan([["decode", "prefill"]], prefilled_by)
    decision = scheduler(plan, prefill="nobody").run(request(), everyone(store), RNG)
    assert (decision.profile, decision.headers, decision.others) == ("decode", (), ())


@pytest.mark.parametrize("name", ["prefill", "", "unheard-of"])
def test_a_primary_profile_without_an_endpoint(name: str, store: Datastore) -> None:
    plan = Plan([["decode", "prefill"]], lambda done: Conclusion(name))
    with pytest.raises(NoEndpointError):
        scheduler(plan, prefill="nobody").run(request(), everyone(store), RNG)


def failing(done: Results) -> Conclusion:
    raise ValueError


@pytest.mark.parametrize(
    "plan",
    [Plan([["unheard-of"]], prefilled_by), Plan([["decode"]], prefilled_by), Plan([["decode"]], failing)],
)
def test_a_handler_that_misbehaves_leaves_the_first_profile(plan: Plan, store: Datastore) -> None:
    seen: list[tuple[str, str, str]] = []
    watcher = Watcher(misbehaved=lambda kind, name, how, error: seen.append((kind, name, how)))
    decision = scheduler(plan, watcher).run(request(), everyone(store), RNG)
    assert decision.profile == "decode"
    assert seen == [("plan-handler", "plan", "raised")]


def test_without_a_handler_the_first_profile_runs(store: Datastore) -> None:
    made = Scheduler({"a": profile("a", "pod-0"), "b": profile("b", "pod-1")})
    assert made.run(request(), everyone(store), RNG).destination == "192.168.1.1:8000"
    assert repr(made) == "<Scheduler a b>"
