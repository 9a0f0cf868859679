"""disagg-profile-handler: decode, then the stages that are worth it; headers say where they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from epp.datastore.endpoints import Endpoint
from epp.plugin import Conclusion, ProfileHandler, Results
from epp.plugins.deciders import AlwaysDisaggMultimodalDecider, AlwaysDisaggPdDecider, PrefixBasedPdDecider
from epp.plugins.disagg_profile_handler import (
    DisaggProfileHandler,
    PdProfileHandler,
    StageDeciders,
    StageProfiles,
)
from epp.types import InferenceRequest
from tests.plugins import Surroundings
from tests.pools import endpoint, everyone, request, store_of

STORE = store_of(None, None, None, None)
STAGES = ("encode", "prefill", "decode")
IMAGE = request(b'[{"image_url":{"url":""}}]')


@dataclass
class Found:
    """A profile's result."""

    picked: tuple[Endpoint, ...]


def found(*numbers: int) -> Found:
    return Found(tuple(endpoint(STORE, number) for number in numbers))


def story(
    handler: ProfileHandler, asked: InferenceRequest, results: Mapping[str, Found | None]
) -> tuple[list[list[str]], Conclusion]:
    """The profiles that are run in turn, each with its result in `results`, and the conclusion."""
    done: dict[str, Found | None] = {}
    turns = []
    while wanted := list(handler.next_profiles(asked, everyone(STORE), done)):
        turns.append(wanted)
        done |= {name: results[name] for name in wanted}
    return turns, handler.conclude(asked, done)


def handler(prefill: str = "", encode: str = "", profiles: tuple[str, ...] = STAGES) -> DisaggProfileHandler:
    plugins = {
        "always": AlwaysDisaggPdDecider(),
        "media": AlwaysDisaggMultimodalDecider(),
        "prefix": PrefixBasedPdDecider(non_cached_tokens=100),
    }
    context = Surroundings(STORE, plugins=dict(plugins), profiles=profiles)
    context.set_up(plugins["prefix"])
    return context.set_up(DisaggProfileHandler(deciders=StageDeciders(prefill, encode)))


def test_decode_alone() -> None:
    turns, conclusion = story(handler(), IMAGE, {"decode": found(0)})
    assert turns == [["decode"]]
    assert conclusion == Conclusion("decode")


def test_prefill_elsewhere() -> None:
    turns, conclusion = story(handler("always"), request(), {"decode": found(0), "prefill": found(1, 2)})
    assert turns == [["decode"], ["prefill"]]
    assert conclusion == Conclusion("decode", (("x-prefiller-host-port", "192.168.1.2:8000"),))


def test_prefill_elsewhere_if_it_is_worth_it() -> None:
    results = {"decode": found(0), "prefill": found(1)}
    assert story(handler("prefix"), request(b"x" * 400), results)[0] == [["decode"], ["prefill"]]
    assert story(handler("prefix"), request(b"x" * 396), results)[0] == [["decode"]]


def test_all_three_stages() -> None:
    results = {"decode": found(0), "prefill": found(1), "encode": found(2, 3)}
    turns, conclusion = story(handler("always", "media"), IMAGE, results)
    assert turns == [["decode"], ["encode", "prefill"]]
    assert conclusion.headers == (
        ("x-prefiller-host-port", "192.168.1.2:8000"),
        ("x-encoder-hosts-ports", "192.168.1.3:8000,192.168.1.4:8000"),
    )
    assert story(handler("always", "media"), request(b"text"), results)[0] == [["decode"], ["prefill"]]


def test_a_stage_that_finds_nobody_runs_where_decode_does() -> None:
    results: Results = {"decode": found(0), "prefill": None}
    turns, conclusion = story(handler("always"), request(), results)  # type: ignore[arg-type]  # as the scheduler has it
    assert turns == [["decode"], ["prefill"]]
    assert conclusion == Conclusion("decode")


def test_a_stage_whose_best_endpoint_decodes_is_not_split_off() -> None:
    results = {"decode": found(0), "prefill": found(0, 1), "encode": found(0)}
    turns, conclusion = story(handler("always", "media"), IMAGE, results)
    assert turns == [["decode"], ["encode", "prefill"]]
    assert conclusion == Conclusion("decode")


def test_nobody_to_decode() -> None:
    turns, conclusion = story(handler("always", "media"), IMAGE, {"decode": None})
    assert turns == [["decode"]]
    assert conclusion == Conclusion("decode")  # which has no result: the request is refused


def test_a_client_cannot_choose_where_its_prompt_is_sent() -> None:
    forged = {"x-prefiller-host-port": "10.6.6.6:22", "x-encoder-hosts-ports": "10.6.6.6:22"}
    asked = request(headers=forged)
    _, conclusion = story(handler(), asked, {"decode": found(0)})
    assert conclusion.headers == (("x-prefiller-host-port", ""), ("x-encoder-hosts-ports", ""))
    _, conclusion = story(handler("always"), asked, {"decode": found(0), "prefill": found(1)})
    assert dict(conclusion.headers)["x-prefiller-host-port"] == "192.168.1.2:8000"


def test_profiles_of_other_names() -> None:
    context = Surroundings(STORE, plugins={"always": AlwaysDisaggPdDecider()}, profiles=("d", "p"))
    plugin = DisaggProfileHandler(StageProfiles("d", "p"), StageDeciders("always"))
    turns, conclusion = story(context.set_up(plugin), request(), {"d": found(0), "p": found(1)})
    assert turns == [["d"], ["p"]]
    assert conclusion.profile == "d"


def test_the_older_name_of_the_decider() -> None:
    context = Surroundings(STORE, plugins={"always": AlwaysDisaggPdDecider()}, profiles=("prefill", "decode"))
    plugin = context.set_up(DisaggProfileHandler(decider_plugin_name="always"))
    turns, _ = story(plugin, request(), {"decode": found(0), "prefill": found(1)})
    assert turns == [["decode"], ["prefill"]]


@pytest.mark.parametrize(
    ("deciders", "profiles", "fault"),
    [
        (("no-such", ""), STAGES, '"no-such" is no Decider'),
        (("always", ""), ("decode",), '"prefill" is not a scheduling profile'),
        (("", "media"), ("decode", "prefill"), '"encode" is not a scheduling profile'),
        (("", ""), ("default",), '"decode" is not a scheduling profile'),
    ],
)
def test_names_that_mean_nothing(deciders: tuple[str, str], profiles: tuple[str, ...], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        handler(*deciders, profiles=profiles)


def test_the_older_form() -> None:
    plugins: dict[str, object] = {"prefix-based-pd-decider": AlwaysDisaggPdDecider()}
    context = Surroundings(STORE, plugins=plugins, profiles=("prefill", "decode"))
    results = {"decode": found(0), "prefill": found(1)}
    turns, conclusion = story(context.set_up(PdProfileHandler()), request(), results)
    assert turns == [["decode"], ["prefill"]]
    assert conclusion == Conclusion("decode", (("x-prefiller-host-port", "192.168.1.2:8000"),))
