"""Every plugin type that a configuration may name, made from its parameters."""

from __future__ import annotations

import math
from typing import Any

import pytest

from epp.plugin import Filter, Picker, SaturationDetector, Scorer
from epp.plugins.max_score_picker import MaxScorePicker
from epp.plugins.registry import ALWAYS_ON, FACTORIES
from epp.plugins.utilization_detector import UtilizationDetector
from tests.pools import everyone, load, store_of

PARTS = (Filter, Scorer, Picker, SaturationDetector)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("queue-scorer", Scorer),
        ("kv-cache-utilization-scorer", Scorer),
        ("running-requests-size-scorer", Scorer),
        ("prefix-cache-scorer", Scorer),
        ("lora-affinity-scorer", Scorer),
        ("active-request-scorer", Scorer),
        ("max-score-picker", Picker),
        ("utilization-detector", SaturationDetector),
    ],
)
def test_each_type_has_its_part(name: str, part: type) -> None:
    plugin = FACTORIES[name]({})
    assert part in [kind for kind in PARTS if isinstance(plugin, kind)]


def test_no_type_is_both_made_and_always_on() -> None:
    assert not ALWAYS_ON & FACTORIES.keys()


@pytest.mark.parametrize(
    ("parameters", "picked"), [({}, 1), ({"maxNumOfEndpoints": 2}, 2), ({"maxNumOfEndpoints": 0}, 1)]
)
def test_parameters_of_the_picker(parameters: dict[str, Any], picked: int) -> None:
    plugin = FACTORIES["max-score-picker"](parameters)
    assert isinstance(plugin, MaxScorePicker)
    candidates = everyone(store_of(None, None, None))
    assert len(plugin.pick(candidates.in_flight.astype(float), candidates, None)) == picked  # type: ignore[arg-type]


def test_parameters_of_the_detector() -> None:
    parameters = {"queueDepthThreshold": 10, "kvCacheUtilThreshold": 0.5}
    plugin = FACTORIES["utilization-detector"](parameters)
    assert isinstance(plugin, UtilizationDetector)
    assert plugin.saturation(everyone(store_of(load(10, 0.0)))) == 1
    assert plugin.saturation(everyone(store_of(load(0, 0.25)))) == 0.5


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("max-score-picker", {"maxNumOfEndpoints": "2"}),
        ("max-score-picker", {"maxNumOfEndpoints": 1.5}),
        ("max-score-picker", {"maxNumOfEndpoints": True}),
        ("utilization-detector", {"queueDepthThreshold": 0}),
        ("utilization-detector", {"queueDepthThreshold": -1}),
        ("utilization-detector", {"kvCacheUtilThreshold": None}),
        ("utilization-detector", {"kvCacheUtilThreshold": math.nan}),
        ("utilization-detector", {"queueDepthThreshold": math.inf}),
        ("utilization-detector", {"kvCacheUtilThreshold": 1.5}),
        ("utilization-detector", {"metricsStalenessThreshold": 200}),
        ("utilization-detector", {"metricsStalenessThreshold": "soon"}),
        ("utilization-detector", {"metricsStalenessThreshold": "-1s"}),
    ],
)
def test_parameters_that_make_no_sense(name: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        FACTORIES[name](parameters)


def test_other_parameters_are_passed_over() -> None:
    FACTORIES["prefix-cache-scorer"]({"hashBlockSize": 64})
