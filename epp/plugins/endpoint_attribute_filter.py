"""endpoint-attribute-filter: keeps endpoints by one number that they have."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from epp.config.constraints import Doc, Length, Range
from epp.datastore.endpoints import Candidates, Floats, Mask
from epp.plugins.arrays import stays
from epp.plugins.endpoint_attributes import COLUMNS, attribute
from epp.types import InferenceRequest

AttributeName = Annotated[
    str, Length(1, 1000), Doc(f"{', '.join(COLUMNS)}, or a label whose value is a number")
]
_HigherIsBetter = Annotated[bool, Doc("whether the highest values are kept, or the lowest")]

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
    """Those that compare with a number in some way."""

    operator: Annotated[
        Literal["LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual", "Equal", "NotEqual"],
        Doc("how the attribute is compared"),
    ]
    value: Annotated[float, Doc("what it is compared with")]

    def keeps(self, values: Floats) -> Mask:
        """True for those; anything for NaN."""
        kept: Mask = _OPERATORS[self.operator](values, self.value)
        return kept


@dataclass(frozen=True)
class Between:
    """Those from one number to another, both included."""

    min: Annotated[float, Doc("the least that is kept")]
    max: Annotated[float, Doc("the most that is kept")]

    def keeps(self, values: Floats) -> Mask:
        """True for those."""
        return (values >= self.min) & (values <= self.max)


@dataclass(frozen=True)
class TopK:
    """Those with the highest, or lowest, values; of equal ones the first."""

    k: Annotated[int, Range(1, 1 << 31), Doc("how many are kept")]
    higher_is_better: _HigherIsBetter = True

    def keeps(self, values: Floats) -> Mask:
        """True for those; NaN comes last."""
        kept = np.zeros(len(values), np.bool_)
        kept[np.argsort(-values if self.higher_is_better else values, kind="stable")[: self.k]] = True
        return kept


@dataclass(frozen=True)
class Percentile:
    """Those from a percentile of the candidates' values on, or up to it; by nearest rank."""

    percentile: Annotated[float, Range(0, 100), Doc("the percentile")]
    higher_is_better: _HigherIsBetter = True

    def keeps(self, values: Floats) -> Mask:
        """True for those."""
        known = np.sort(values[~np.isnan(values)])
        if not len(known):
            return np.zeros(len(values), np.bool_)
        cut = known[max(math.ceil(self.percentile / 100.0 * len(known)), 1) - 1]
        kept: Mask = values >= cut if self.higher_is_better else values <= cut
        return kept


@dataclass(frozen=True)
class FilterAlgorithm:
    """How endpoints are chosen by the attribute."""

    type: Annotated[Literal["threshold", "range", "topK", "percentile"], Doc("which of the others counts")]
    threshold: Annotated[Threshold | None, Doc("a comparison with a number")] = None
    range: Annotated[Between | None, Doc("from one number to another")] = None
    top_k: Annotated[TopK | None, Doc("a number of endpoints")] = None
    percentile: Annotated[Percentile | None, Doc("a part of the candidates")] = None

    @property
    def chosen(self) -> Threshold | Between | TopK | Percentile | None:
        """What `type` names; None if it is not given."""
        return {
            "threshold": self.threshold,
            "range": self.range,
            "topK": self.top_k,
            "percentile": self.percentile,
        }[self.type]


@dataclass
class EndpointAttributeFilter:
    """Keeps endpoints by one number that they have: a part of their load, or a label.

    By a comparison, a range, as the best ones or by a percentile of the candidates. Endpoints that lack the
    attribute stay or go by `onMissing`. A load that an endpoint did not tell is missing.
    """

    attribute: AttributeName
    algorithm: Annotated[FilterAlgorithm, Doc("how endpoints are chosen by it")]
    on_missing: Annotated[
        Literal["Pass", "Fail"], Doc("whether endpoints without the attribute stay or go")
    ] = "Pass"
    fallback_on_empty: Annotated[bool, Doc("keep all endpoints if none would be left")] = False

    def __post_init__(self) -> None:
        chosen, between = self.algorithm.chosen, self.algorithm.range
        if chosen is None:
            raise ValueError(f"algorithm.{self.algorithm.type}: is missing")
        if between is not None and between.min > between.max:
            raise ValueError("algorithm.range: min has to be at most max")
        self._keeps = chosen.keeps
        self._values = attribute(self.attribute)

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those that are kept; None if all are."""
        values = self._values(endpoints)
        kept, missing = self._keeps(values), np.isnan(values)
        kept = kept | missing if self.on_missing == "Pass" else kept & ~missing
        return stays(kept, or_all=self.fallback_on_empty)
