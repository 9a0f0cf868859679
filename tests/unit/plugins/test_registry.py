"""Every plugin type that a configuration may name."""

from __future__ import annotations

import pytest

from epp.config.catalogue import PluginType
from epp.config.schema import check_kind
from epp.plugins.kept import KEPT
from epp.plugins.registry import BUILT_IN, OWN_TYPES, PASSED_OVER, UNSUPPORTED, catalogue, kinds_of

TYPES = sorted(OWN_TYPES.types.values(), key=lambda each: each.name)


@pytest.mark.parametrize("plugin_type", TYPES, ids=lambda each: each.name)
def test_each_type_says_what_it_is_and_what_it_takes(plugin_type: PluginType) -> None:
    assert plugin_type.kinds
    assert plugin_type.meaning.endswith(".")
    for field in plugin_type.fields:
        check_kind(field.kind)
        assert field.meaning, field.name


@pytest.mark.parametrize(
    "plugin_type",
    [each for each in TYPES if not any(field.required for field in each.fields)],
    ids=lambda each: each.name,
)
def test_each_type_is_made_of_its_defaults(plugin_type: PluginType) -> None:
    assert isinstance(plugin_type.make({}), plugin_type.cls)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("queue-scorer", {"scorer"}),
        ("max-score-picker", {"picker"}),
        ("label-selector-filter", {"filter"}),
        ("utilization-detector", {"filter", "saturation detector"}),
        ("disagg-profile-handler", {"profile handler"}),
        ("single-profile-handler", {"profile handler"}),
        ("prefix-based-pd-decider", {"decider"}),
        ("openai-parser", {"parser"}),
        ("metrics-data-source", {"data source"}),
    ],
)
def test_kinds_go_by_the_methods(name: str, kinds: set[str]) -> None:
    assert OWN_TYPES.types[name].kinds == kinds


def test_a_class_without_a_plugins_method_is_none() -> None:
    assert kinds_of(dict) == frozenset()


def test_a_name_is_in_one_list() -> None:
    assert not BUILT_IN.keys() & KEPT.keys()
    assert not OWN_TYPES.types.keys() & UNSUPPORTED.keys()
    assert PASSED_OVER.keys() <= BUILT_IN.keys()


def test_users_types_join_and_are_no_longer_unsupported() -> None:
    class Mine:
        pass

    joined = catalogue([PluginType("latency-scorer", Mine, frozenset({"scorer"}))])
    assert joined.types["latency-scorer"].cls is Mine
    assert "latency-scorer" not in joined.unsupported
    assert joined.types.keys() - OWN_TYPES.types.keys() == {"latency-scorer"}


class _Clock:
    def first_token(self, request: object, endpoint: object, now: float) -> None: ...


class _Ledger:
    def ended(self, request: object, endpoint: object, now: float) -> None: ...


@pytest.mark.parametrize("cls", [_Clock, _Ledger])
def test_who_is_told_of_answers_alone_is_a_plugin(cls: type) -> None:
    assert kinds_of(cls) == {"observer"}
