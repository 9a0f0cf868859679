"""load-aware-scorer: endpoints with a queue score by its length against a fixed limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from epp.config.constraints import Doc, Range
from epp.datastore.endpoints import Candidates, Floats
from epp.types import InferenceRequest


@dataclass
class LoadAwareScorer:
    """Prefers endpoints with a short queue, by a limit that is the same for all.

    0.5 without a queue, 0.5 * (1 - waiting / `threshold`) with one, 0 from the threshold on. An endpoint that
    did not tell its queue scores 0, where the reference takes it for empty.
    """

    threshold: Annotated[int, Range(1, 1 << 31), Doc("requests waiting from which on the score is 0")] = 128

    load_only: ClassVar[bool] = True

    def score(self, request: InferenceRequest, endpoints: Candidates) -> Floats:
        """0 to 0.5."""
        return np.fmax(0.5 - endpoints.waiting * (0.5 / self.threshold), 0.0)  # of NaN and 0 fmax takes 0
