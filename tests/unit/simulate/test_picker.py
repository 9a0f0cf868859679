"""The picker in virtual time takes and gives back as the one that serves."""

from __future__ import annotations

import random

import pytest

from epp.errors import ShedError
from epp.simulate.picker import VirtualPicker
from epp.simulate.policies import load_policy
from epp.simulate.workload import Arrival, Piece, text
from epp.types import LoadSample, Usage

IDLE = LoadSample(0, 0, 0.0, 16, 28_625, 2, frozenset())
FULL = LoadSample(900, 256, 1.0, 16, 28_625, 2, frozenset())


def asked(priority: int = 0, adapter: str = "") -> Arrival:
    return Arrival(0.0, (Piece("prompt", 100),), 10, "answer", adapter, priority)


@pytest.fixture
def picker() -> VirtualPicker:
    return VirtualPicker(load_policy("default"), ["a", "b"], frozenset({"ours"}), random.Random(1))


def test_a_request_is_counted_until_its_answer_ends(picker: VirtualPicker) -> None:
    endpoints = picker.store.endpoints
    arrival = asked()
    placed = picker.place(arrival, "1", text(arrival.prompt), 0.0)
    assert endpoints.in_flight[placed.endpoint.slot] == 1
    assert endpoints.in_flight_tokens[placed.endpoint.slot] == 250  # with 1.5 times as much for the answer
    picker.answer_ended(placed, Usage(100, 10, 0), 1.0)
    assert endpoints.in_flight.sum() == endpoints.in_flight_tokens.sum() == 0


@pytest.mark.parametrize(("tells", "limit"), [(False, None), (True, 10)])
def test_only_the_oracle_is_told_how_long_an_answer_will_be(
    picker: VirtualPicker, tells: bool, limit: int | None
) -> None:
    picker.tells_lengths = tells
    arrival = asked()
    assert picker.place(arrival, "1", text(arrival.prompt), 0.0).request.body.max_tokens == limit


def test_no_prompt_is_kept(picker: VirtualPicker) -> None:
    arrival = asked()
    assert picker.place(arrival, "1", text(arrival.prompt), 0.0).request.body.prompt.parts == ()


def test_pages_and_answers_tell_the_load(picker: VirtualPicker) -> None:
    arrival = asked()
    picker.page_came("a", IDLE, 0.05)
    picker.page_came("b", FULL, 0.05)
    placed = picker.place(arrival, "1", text(arrival.prompt), 0.06)
    assert placed.endpoint.spec.name == "a"
    picker.answer_begins(placed, LoadSample(7, None, 0.5), 0.07)
    slot = placed.endpoint.slot
    assert (picker.store.endpoints.waiting[slot], picker.store.endpoints.kv_usage[slot]) == (7, 0.5)


def test_a_saturated_pool_sheds(picker: VirtualPicker) -> None:
    picker.page_came("a", FULL, 0.05)
    picker.page_came("b", FULL, 0.05)
    with pytest.raises(ShedError):
        picker.place(asked(priority=-1), "1", b"", 0.06)
    picker.place(asked(), "2", b"", 0.06)


def test_adapters_are_known(picker: VirtualPicker) -> None:
    placed = picker.place(asked(adapter="ours"), "1", b"", 0.0)
    assert placed.request.target_model == "ours"
    assert picker.store.adapters.is_adapter("ours")
    assert not picker.store.adapters.is_adapter("base")


def test_a_request_wakes_an_idle_pool(picker: VirtualPicker) -> None:
    assert picker.requested(10.0)
    assert not picker.requested(10.1)
