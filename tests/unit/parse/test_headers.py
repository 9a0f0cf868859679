"""The control headers: their values, their defaults, and what makes no sense."""

from __future__ import annotations

import pytest

from epp.parse.headers import CONTROL_HEADERS, TPOT_SLO, TTFT_SLO, read_controls
from epp.types import ControlHeaders


def test_all_of_them() -> None:
    assert read_controls(
        {
            "x-request-id": "r-1",
            "x-gateway-inference-objective": "chat-gold",
            "x-gateway-inference-fairness-id": "tenant-7",
            "x-gateway-model-name-rewrite": "food-review-2",
            "x-slo-ttft-ms": "200",
            "x-slo-tpot-ms": "12.5",
            "content-type": "application/json",
        }
    ) == ControlHeaders("r-1", "chat-gold", "tenant-7", "food-review-2", 200.0, 12.5)


def test_none_of_them() -> None:
    assert read_controls({}) == ControlHeaders()


def test_an_empty_fairness_id_is_the_default_flow() -> None:
    assert read_controls({"x-gateway-inference-fairness-id": ""}).fairness_id == "default-flow"


@pytest.mark.parametrize("text", ["", "soon", "NaN", "inf", "-Infinity", "-1", "1e999", "10ms", "0x10"])
def test_a_bad_objective_time_is_none(text: str) -> None:
    controls = read_controls({TTFT_SLO: text, TPOT_SLO: text})
    assert (controls.ttft_slo_ms, controls.tpot_slo_ms) == (None, None)


def test_what_no_endpoint_needs_to_see() -> None:
    assert set(CONTROL_HEADERS) == {
        "x-gateway-inference-objective",
        "x-gateway-inference-fairness-id",
        "x-gateway-model-name-rewrite",
        "x-gateway-destination-endpoint-subset",
        "x-gateway-destination-endpoint-served",
        "x-epp-explain",
    }
