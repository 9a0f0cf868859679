"""utilization-filter: keeps endpoints below limits on their load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from epp.config.constraints import Doc, Length, Range
from epp.datastore.endpoints import Candidates, Mask
from epp.plugins.arrays import stays
from epp.plugins.endpoint_attributes import COLUMNS
from epp.types import InferenceRequest

_MOST = 1 << 53  # counts are exact as floats up to here


@dataclass(frozen=True)
class LoadLimit:
    """A limit on one part of the load."""

    metric: Annotated[
        Literal["active-requests", "running-requests", "waiting-queue", "kv-cache-utilization"],
        Doc("active-requests are those that this picker placed; the others are what the endpoint tells"),
    ]
    max_value: Annotated[float, Range(0, _MOST), Doc("the most that an endpoint may have")]


@dataclass
class UtilizationFilter:
    """Keeps endpoints whose load is within every limit.

    An endpoint that did not tell a load that is limited is taken out, where the reference takes it for idle.
    """

    conditions: Annotated[tuple[LoadLimit, ...], Length(1, 100), Doc("the limits, all of which have to hold")]
    fallback_on_empty: Annotated[bool, Doc("keep all endpoints if none would be left")] = False

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those within the limits; None if all are."""
        within = [COLUMNS[each.metric](endpoints) <= each.max_value for each in self.conditions]
        return stays(np.logical_and.reduce(within), or_all=self.fallback_on_empty)
