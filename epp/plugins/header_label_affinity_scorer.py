"""header-label-affinity-scorer: endpoints with the label that a request's header asks for score best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from epp.config.constraints import Doc, Length
from epp.datastore.endpoints import Candidates, Floats
from epp.plugin import Response
from epp.types import InferenceRequest
from epp.wire.messages import HeaderList

_SomeText = Length(1, 1000)


@dataclass
class HeaderLabelAffinityScorer:
    """Prefers endpoints whose label has the value of a request's header.

    1 for them, 0 for the others. The answer carries the label of the endpoint that gave it in the same
    header, so that whoever sends the next request can ask for another with the same.
    """

    header_name: Annotated[str, _SomeText, Doc("the header")]
    label_key: Annotated[str, _SomeText, Doc("the label")]
    stamp_response_header: Annotated[bool, Doc("set the header on answers")] = True

    def __post_init__(self) -> None:
        self._header = self.header_name.lower()

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats | float:
        """0 for all without the header."""
        wanted = request.headers.get(self._header)
        if not wanted:
            return 0.0
        return np.array([label == wanted for label in endpoints.labels(self.label_key)], np.float64)

    def responded(self, request: InferenceRequest, response: Response) -> HeaderList:
        """The served endpoint's label, if it has one."""
        if not self.stamp_response_header or response.endpoint is None:
            return ()
        label = response.endpoint.spec.labels.get(self.label_key)
        return () if label is None else ((self._header, label),)
