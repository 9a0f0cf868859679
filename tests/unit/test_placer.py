"""The steps from a request to its endpoint, in their order, wherever they are taken."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from epp.config.catalogue import PluginType
from epp.config.picker import load_picker_config
from epp.config.picker_config import PickerConfig
from epp.datastore.endpoints import Candidates, Endpoint
from epp.datastore.store import Datastore
from epp.errors import NoEndpointError, ShedError
from epp.extproc.exchange import Place
from epp.placer import Placer
from epp.plugins.registry import catalogue, kinds_of
from epp.scheduling.build import build_policy
from epp.scheduling.policy import Policy
from epp.simulate.picker import VirtualPicker
from epp.simulate.workload import Arrival, Piece
from epp.types import InferenceRequest, LoadSample
from tests.pickers import Picker, at_once, body_of
from tests.pools import NOW, endpoint, load, request, snapshot, spec, store_of

IDLE = load(0, 0.0)


@dataclass
class Diary:
    """A scorer that notes when it is asked and told, and what is reserved at that time; or fails."""

    fails: bool = False
    seen: list[tuple[str, int, int]] = field(init=False, default_factory=list)
    endpoints: Candidates | None = field(init=False, default=None)

    def _note(self, what: str, request: InferenceRequest) -> None:
        assert self.endpoints is not None
        self.seen.append((what, int(self.endpoints.in_flight.sum()), len(request.body.prompt.parts)))
        if self.fails:
            raise OSError

    def score(self, request: InferenceRequest, endpoints: Candidates) -> float:
        self.endpoints = endpoints
        self._note("scored", request)
        return 1.0

    def placed(self, request: InferenceRequest, endpoint: Endpoint, profile: str) -> None:
        self._note("placed", request)

    def ended(self, request: InferenceRequest, endpoint: Endpoint, now: float) -> None:
        self._note("ended", request)

    def left(self, slot: int) -> None:
        self.seen.append(("left", slot, 0))


TYPES = catalogue([PluginType("diary", Diary, kinds_of(Diary))])


def config(fails: bool = False) -> PickerConfig:
    text = (
        "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"
        f"plugins: [{{type: diary, parameters: {{fails: {str(fails).lower()}}}}}]\n"
    )
    return load_picker_config(text, "test.yaml", TYPES)


def diary_of(policy: Policy) -> Diary:
    [found] = [each.plugin for each in policy.made if isinstance(each.plugin, Diary)]
    assert isinstance(found, Diary)
    return found


def placer(store: Datastore, fails: bool = False) -> tuple[Placer, Diary]:
    policy = build_policy(config(fails), store, 2.0)
    return Placer(store, policy, random.Random(0)), diary_of(policy)


@pytest.mark.parametrize("fails", [False, True])
def test_observers_are_told_while_the_prompt_is_there_and_reserved_is_last(fails: bool) -> None:
    """A plugin that fails in either step stops nothing."""
    store = store_of(IDLE)
    steps, diary = placer(store, fails)
    asked = request(b"prompt")
    decision = steps.decide(asked, NOW)
    assert diary.seen == [("scored", 0, 1)], "nothing is taken yet"
    reservation = steps.take(asked, decision)
    assert diary.seen == [("scored", 0, 1), ("placed", 0, 1)]
    assert asked.body.prompt.parts == ()
    assert (asked.body.model, asked.target_model) == ("base", "base")
    assert store.endpoints.in_flight.sum() == 1
    reservation.release()
    assert store.endpoints.in_flight.sum() == store.endpoints.in_flight_tokens.sum() == 0


def test_the_tokens_are_those_of_the_prompt_that_is_forgotten() -> None:
    store = store_of(IDLE)
    steps, _ = placer(store)
    asked = request(b"x" * 400)
    steps.take(asked, steps.decide(asked, NOW))
    assert store.endpoints.in_flight_tokens.sum() == 100 + 150


def test_the_adapter_is_reserved_where_the_request_goes() -> None:
    store = store_of(load(0, 0.0, "ours", max_lora=2))
    steps, _ = placer(store)
    asked = request(model="alias", target="ours")
    steps.take(asked, steps.decide(asked, NOW))
    assert store.adapters.shelves[endpoint(store, 0).slot].in_flight == {"ours": 1}


def test_only_endpoints_of_the_subset() -> None:
    store = store_of(IDLE, IDLE)
    steps, _ = placer(store)
    asked = request()
    asked.subset = frozenset({spec(1).host})
    assert steps.decide(asked, NOW).picked == (endpoint(store, 1),)


@pytest.mark.parametrize(
    ("loads", "error"), [((), NoEndpointError), ((load(900, 1.0),), ShedError)], ids=["nobody", "saturated"]
)
def test_a_request_that_gets_none_takes_nothing(
    loads: tuple[LoadSample, ...], error: type[Exception]
) -> None:
    store = store_of(*loads)
    steps, diary = placer(store)
    with pytest.raises(error):
        steps.decide(request(priority=-1), NOW)
    assert diary.seen == []
    assert store.endpoints.in_flight.sum() == 0


def test_the_latest_policy_hears_of_endpoints_that_leave() -> None:
    store = store_of(IDLE, IDLE)
    _, old = placer(store)
    _, new = placer(store)
    slot = endpoint(store, 1).slot
    store.apply(snapshot(spec(0)))
    assert (old.seen, new.seen) == ([], [("left", slot, 0)])


def test_the_director_takes_these_steps() -> None:
    picker = Picker(IDLE, config=config())
    asked = Place(((":path", "/v1/completions"),), {}, body_of())
    placement = at_once(picker.director.place(asked, NOW))
    picker.director.finish(placement)
    picker.director.finish(placement)
    assert diary_of(picker.policy).seen == [("scored", 0, 1), ("placed", 0, 1), ("ended", 0, 0)]


def test_the_picker_in_virtual_time_takes_these_steps() -> None:
    picker = VirtualPicker(config(), ["a"], frozenset(), random.Random(0))
    picker.page_came("a", IDLE, 0.0)
    picker.place(Arrival(0.0, (Piece("prompt", 100),), 10, "answer"), "r", b"x" * 400, 0.0)
    assert diary_of(picker.policy).seen == [("scored", 0, 1), ("placed", 0, 1)]
