"""The request headers that speak to the picker (endpoint-picker protocol, proposal 004)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from epp.types import DEFAULT_FAIRNESS_ID, ControlHeaders

REQUEST_ID = "x-request-id"
OBJECTIVE = "x-gateway-inference-objective"
FAIRNESS_ID = "x-gateway-inference-fairness-id"
MODEL_REWRITE = "x-gateway-model-name-rewrite"
TTFT_SLO = "x-slo-ttft-ms"
TPOT_SLO = "x-slo-tpot-ms"
EXPLAIN = "x-epp-explain"  # "1" asks for the reasons of the decision, in a header of the same name

# Words between client, gateway and picker, to be taken out before the request goes to an endpoint.
CONTROL_HEADERS = (
    OBJECTIVE,
    FAIRNESS_ID,
    MODEL_REWRITE,
    EXPLAIN,
    "x-gateway-destination-endpoint-subset",
    "x-gateway-destination-endpoint-served",
)


def read_controls(headers: Mapping[str, str]) -> ControlHeaders:
    """What the headers (lower-case names) ask for; what is empty or makes no sense counts as not there."""
    return ControlHeaders(
        request_id=headers.get(REQUEST_ID, ""),
        objective=headers.get(OBJECTIVE, ""),
        fairness_id=headers.get(FAIRNESS_ID) or DEFAULT_FAIRNESS_ID,
        model_rewrite=headers.get(MODEL_REWRITE, ""),
        ttft_slo_ms=_milliseconds(headers.get(TTFT_SLO)),
        tpot_slo_ms=_milliseconds(headers.get(TPOT_SLO)),
    )


def _milliseconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
