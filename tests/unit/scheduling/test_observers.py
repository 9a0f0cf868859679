"""Who is told what becomes of requests, and what happens to one that misbehaves."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec
import pytest

from epp.datastore.endpoints import Endpoint
from epp.plugin import Response, Watcher
from epp.plugins.max_score_picker import MaxScorePicker
from epp.scheduling.decision import Decision
from epp.scheduling.observers import NamedPlugin, Observers
from epp.scheduling.profile import NamedPicker, Profile
from epp.types import InferenceRequest, Usage
from epp.wire.messages import HeaderList, MetadataMap
from tests.pools import endpoint, everyone, load, request, store_of


@dataclass
class Curious:
    """Notes everything, and answers with its name; or fails."""

    name: str
    fails: bool = False
    told: list[object] = field(default_factory=list)

    def _note(self, *told: object) -> None:
        if self.fails:
            raise OSError
        self.told.append(told)

    def placed(self, request: InferenceRequest, endpoint: Endpoint, profile: str) -> None:
        self._note(profile, endpoint.spec.name)

    def responded(self, request: InferenceRequest, response: Response) -> HeaderList:
        self._note(response.headers)
        return ((f"x-{self.name}", "1"),)

    def used(self, request: InferenceRequest, usage: Usage) -> MetadataMap:
        self._note(usage)
        return {"envoy.lb": {self.name: usage.prompt_tokens}}

    def first_token(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        self._note("begins", endpoint.spec.name, now)

    def ended(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        self._note("over", endpoint.spec.name, now)

    def left(self, slot: int) -> None:
        self._note(slot)


@dataclass
class Surroundings:
    """Three observers, of which the second fails."""

    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plugins = [Curious("a"), Curious("b", fails=True), Curious("c")]
        listed = [NamedPlugin(each.name, "curious", each) for each in self.plugins]
        watcher = Watcher(misbehaved=lambda kind, name, how, error: self.seen.append((kind, name, how)))
        self.observers = Observers([NamedPlugin("x", "other", object()), *listed], watcher)


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


def decision(profile: str) -> Decision:
    picker = NamedPicker("best", "max-score-picker", MaxScorePicker())
    store = store_of(load(0, 0.0))
    return Profile(profile, [], [], picker).run(request(), everyone(store), random.Random(0))


def test_placements_the_primary_profile_first(around: Surroundings) -> None:
    both = msgspec.structs.replace(decision("decode"), others=(decision("prefill"),))
    around.observers.placed(request(), both)
    assert [each.told for each in around.plugins] == [
        [("decode", "pod-0"), ("prefill", "pod-0")],
        [],
        [("decode", "pod-0"), ("prefill", "pod-0")],
    ]
    assert around.seen == [("curious", "b", "raised")] * 2


def test_responses(around: Surroundings) -> None:
    response = Response(None, {":status": "200"}, {})
    assert around.observers.responded(request(), response) == (("x-a", "1"), ("x-c", "1"))
    assert around.seen == [("curious", "b", "raised")]


def test_usage(around: Surroundings) -> None:
    assert around.observers.used(request(), Usage(3, 4)) == {"envoy.lb": {"a": 3, "c": 3}}
    assert around.seen == [("curious", "b", "raised")]


def test_first_tokens_and_ends(around: Surroundings) -> None:
    where = endpoint(store_of(load(0, 0.0)), 0)
    around.observers.first_token(request(), where, 7.0)
    around.observers.ended(request(), where, 8.0)
    told = [("begins", "pod-0", 7.0), ("over", "pod-0", 8.0)]
    assert [each.told for each in around.plugins] == [told, [], told]
    assert around.seen == [("curious", "b", "raised")] * 2


def test_departures(around: Surroundings) -> None:
    around.observers.left(7)
    assert [each.told for each in around.plugins] == [[(7,)], [], [(7,)]]
    assert around.seen == [("curious", "b", "raised")]


def test_who_looks_is_known_beforehand(around: Surroundings) -> None:
    assert (around.observers.see_responses, around.observers.see_usage) == (True, True)
    assert (around.observers.see_first_tokens, around.observers.see_ends) == (True, True)
    nobody = Observers([NamedPlugin("x", "other", object())])
    assert (nobody.see_responses, nobody.see_usage) == (False, False)
    assert (nobody.see_first_tokens, nobody.see_ends) == (False, False)
    assert nobody.responded(request(), Response(None, {}, {})) == ()
    assert repr(nobody) == "<Observers 0 of placements, 0 of responses>"
