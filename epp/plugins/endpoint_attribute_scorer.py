"""endpoint-attribute-scorer: scores endpoints by one number that they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from epp.config.constraints import Doc
from epp.datastore.endpoints import Candidates, Floats
from epp.plugins.arrays import least_is_best
from epp.plugins.endpoint_attribute_filter import AttributeName
from epp.plugins.endpoint_attributes import attribute
from epp.types import InferenceRequest


@dataclass(frozen=True)
class AdaptiveRange:
    """The range is from the least to the most of the candidates. It has no parameters."""


@dataclass(frozen=True)
class FixedRange:
    """A range that is always the same."""

    min: Annotated[float, Doc("the least")]
    max: Annotated[float, Doc("the most")]


@dataclass(frozen=True)
class Normalization:
    """What counts as the least and the most; at most one of both."""

    adaptive_range: Annotated[AdaptiveRange | None, Doc("from the least to the most of the candidates")] = (
        None
    )
    fixed_range: Annotated[FixedRange | None, Doc("from one number to another")] = None


@dataclass(frozen=True)
class ScorerAlgorithm:
    """How the attribute makes a score."""

    type: Annotated[
        Literal["linear_lower_is_better", "linear_higher_is_better"], Doc("which end of the range scores 1")
    ]
    normalization: Annotated[Normalization, Doc("the range; unset: adaptive")] = Normalization()


@dataclass
class EndpointAttributeScorer:
    """Prefers endpoints by one number that they have: a part of their load, or a label.

    (value - min) / (max - min), or 1 minus that if lower is better; 1 for all whose values are equal. The
    range is that of the candidates, or fixed. An endpoint without the attribute scores 0.
    """

    attribute_key: AttributeName
    algorithm: Annotated[ScorerAlgorithm, Doc("how it makes a score")]

    def __post_init__(self) -> None:
        normalization = self.algorithm.normalization
        fixed = normalization.fixed_range
        if fixed is not None and normalization.adaptive_range is not None:
            raise ValueError("algorithm.normalization: has to be adaptiveRange or fixedRange, not both")
        if fixed is not None and fixed.min >= fixed.max:
            raise ValueError("algorithm.normalization.fixedRange: min has to be less than max")
        self._values = attribute(self.attribute_key)

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """0 to 1; 0 where the attribute is missing."""
        values = self._values(endpoints)
        lower_is_better = self.algorithm.type == "linear_lower_is_better"
        fixed = self.algorithm.normalization.fixed_range
        if fixed is None:
            known_of_none = bool(np.isnan(values).all())
            return 0.0 if known_of_none else least_is_best(values if lower_is_better else -values)
        position = (values - fixed.min) / (fixed.max - fixed.min)
        # Of NaN and 0 fmax takes 0; what is above 1 the profile takes for 1.
        return np.fmax(1.0 - position if lower_is_better else position, 0.0)
