"""endpoint-attribute-filter: keeps endpoints by one number that they have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from epp.config.constraints import Doc, Length
from epp.datastore.endpoints import Candidates, Mask
from epp.plugins.arrays import stays
from epp.plugins.endpoint_attributes import COLUMNS, attribute
from epp.types import InferenceRequest

AttributeName = Annotated[
    str, Length(1, 1000), Doc(f"{', '.join(COLUMNS)}, or a label whose value is a number")
]

_OPERATORS: dict[str, Callable[[Any, float], Any]] = {
    "LessThan": np.less,
    "LessThanOrEqual": np.less_equal,
    "GreaterThan": np.greater,
    "GreaterThanOrEqual": np.greater_equal,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
}


@dataclass(frozen=True)
class Threshold:
    """A comparison with a number."""

    operator: Annotated[
        Literal["LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual", "Equal", "NotEqual"],
        Doc("how the attribute is compared"),
    ]
    value: Annotated[float, Doc("what it is compared with")]


@dataclass(frozen=True)
class FilterAlgorithm:
    """How endpoints are chosen by the attribute."""

    type: Annotated[Literal["threshold"], Doc("the attribute is compared with a number")]
    threshold: Annotated[Threshold, Doc("the comparison that has to hold")]


@dataclass
class EndpointAttributeFilter:
    """Keeps endpoints by one number that they have: a part of their load, or a label.

    Endpoints that lack the attribute stay or go by `onMissing`. A load that an endpoint did not tell is
    missing.
    """

    attribute: AttributeName
    algorithm: Annotated[FilterAlgorithm, Doc("how endpoints are chosen by it")]
    on_missing: Annotated[
        Literal["Pass", "Fail"], Doc("whether endpoints without the attribute stay or go")
    ] = "Pass"
    fallback_on_empty: Annotated[bool, Doc("keep all endpoints if none would be left")] = False

    def __post_init__(self) -> None:
        self._values = attribute(self.attribute)

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those that are kept; None if all are."""
        values = self._values(endpoints)
        threshold = self.algorithm.threshold
        fulfils: Mask = _OPERATORS[threshold.operator](values, threshold.value)
        missing = np.isnan(values)
        # NaN is NotEqual to every number.
        kept = fulfils | missing if self.on_missing == "Pass" else fulfils & ~missing
        return stays(kept, or_all=self.fallback_on_empty)
