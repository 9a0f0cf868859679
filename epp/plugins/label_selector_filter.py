"""label-selector-filter and by-label: keep endpoints by their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np

from epp.config.constraints import Doc, Length
from epp.datastore.endpoints import Candidates, Mask
from epp.plugins.arrays import stays
from epp.plugins.per_candidates import PerCandidates
from epp.types import InferenceRequest

_SomeText = Length(1, 1000)


@dataclass(frozen=True)
class LabelRequirement:
    """One requirement on a label, as in a Kubernetes label selector."""

    key: Annotated[str, _SomeText, Doc("the label")]
    operator: Annotated[Literal["In", "NotIn", "Exists", "DoesNotExist"], Doc("how it is compared")]
    values: Annotated[tuple[str, ...], Doc("values to compare with, for In and NotIn")] = ()

    def fulfilled_by(self, labels: Mapping[str, str]) -> bool:
        """Whether an endpoint with `labels` meets it; NotIn holds for one without the label, too."""
        if self.operator == "Exists":
            return self.key in labels
        if self.operator == "DoesNotExist":
            return self.key not in labels
        return (labels.get(self.key) in self.values) == (self.operator == "In")


@dataclass
class LabelSelectorFilter:
    """Keeps endpoints that a Kubernetes label selector chooses.

    All of `matchLabels` and all of `matchExpressions` have to hold. An empty selector keeps every endpoint.
    """

    match_labels: Annotated[
        Mapping[str, str], Doc("labels that an endpoint has to have, with their values")
    ] = field(default_factory=dict)
    match_expressions: Annotated[tuple[LabelRequirement, ...], Doc("further requirements")] = ()

    def __post_init__(self) -> None:
        for index, each in enumerate(self.match_expressions):
            if bool(each.values) != (each.operator in ("In", "NotIn")):
                need = "needs values" if not each.values else "takes no values"
                raise ValueError(f"matchExpressions[{index}]: the operator {each.operator} {need}")
        self._stays = PerCandidates(self._mask)

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those that are chosen; None if all are."""
        return self._stays(endpoints)

    def _mask(self, endpoints: Candidates) -> Mask | None:
        chosen = [self._chooses(endpoints.at(index).spec.labels) for index in range(len(endpoints))]
        return stays(np.array(chosen, np.bool_), or_all=False)

    def _chooses(self, labels: Mapping[str, str]) -> bool:
        return self.match_labels.items() <= labels.items() and all(
            each.fulfilled_by(labels) for each in self.match_expressions
        )


@dataclass
class ByLabelFilter:
    """Keeps endpoints whose label has one of some values."""

    label: Annotated[str, _SomeText, Doc("the label")]
    valid_values: Annotated[tuple[str, ...], Doc("values that are kept")] = ()
    allows_no_label: Annotated[bool, Doc("keep endpoints that do not have the label")] = False

    def __post_init__(self) -> None:
        if not self.valid_values and not self.allows_no_label:
            raise ValueError(
                "validValues: has to name a value if allowsNoLabel is false: nothing would be kept"
            )
        self._stays = PerCandidates(self._mask)

    def filter(self, request: InferenceRequest, endpoints: Candidates) -> Mask | None:
        """True for those that are kept; None if all are."""
        return self._stays(endpoints)

    def _mask(self, endpoints: Candidates) -> Mask | None:
        valid: set[str | None] = {*self.valid_values}
        if self.allows_no_label:
            valid.add(None)
        return stays(
            np.array([label in valid for label in endpoints.labels(self.label)], np.bool_), or_all=False
        )
