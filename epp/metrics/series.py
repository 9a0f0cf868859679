"""The series of one pair of models, found once for a request instead of once for each number.

A request tells ten histograms and counters of its models; to find each by its labels costs more than to
count.
"""

from __future__ import annotations

from epp.metrics.families import Families
from epp.metrics.instruments import Number
from epp.types import Usage

# From here on a status is an error (RFC 9110, section 15), and how the reference counts it.
_FIRST_ERROR = 400
_SERVER_ERROR = "ModelServerError"


class ModelSeries:
    """What is counted of requests for `model` that became requests for `target`."""

    __slots__ = (
        "_by_priority",
        "_cached_tokens",
        "_durations",
        "_families",
        "_first_tokens",
        "_input_tokens",
        "_output_tokens",
        "_request_sizes",
        "_response_sizes",
        "_running",
        "_times_per_token",
        "_token_gaps",
        "model",
        "target",
    )

    def __init__(self, families: Families, model: str, target: str) -> None:
        self.model = model
        self.target = target
        self._families = families
        self._by_priority: dict[int, Number] = {}
        self._running: Number | None = None
        self._request_sizes = families.request_sizes.at(model, target)
        self._response_sizes = families.response_sizes.at(model, target)
        self._durations = families.durations.at(model, target)
        self._first_tokens = families.first_tokens.at(model, target)
        self._token_gaps = families.token_gaps.at(model, target)
        self._times_per_token = families.times_per_token.at(model, target)
        self._input_tokens = families.input_tokens.at(model, target)
        self._output_tokens = families.output_tokens.at(model, target)
        self._cached_tokens = families.cached_tokens.at(model, target)

    def placed(self, priority: int, size: int) -> None:
        """A request has its endpoint; `ended` must follow."""
        requests = self._by_priority.get(priority)
        if requests is None:
            requests = self._families.requests.at(self.model, self.target, str(priority))
            self._by_priority[priority] = requests
        requests.value += 1
        self._request_sizes.observe(size)
        if self._running is None and self.model:
            self._running = self._families.running.at(self.model)
        if self._running is not None:
            self._running.value += 1

    def failed(self, code: str) -> None:
        """A request got an error."""
        self._families.errors.at(self.model, self.target, code).value += 1

    def ended(self, status: int) -> None:
        """A placed request is over; `status` 0: without an answer."""
        if self._running is not None:
            self._running.value -= 1
        if status >= _FIRST_ERROR:
            self.failed(_SERVER_ERROR)

    def answered(self, duration: float, response_bytes: int, usage: Usage | None, ttft: float | None) -> None:
        """It had its whole answer; `usage` and `ttft` as far as that told."""
        self._durations.observe(duration)
        self._response_sizes.observe(response_bytes)
        if ttft is not None:
            self._first_tokens.observe(ttft)
        if usage is None:
            return
        output = usage.completion_tokens
        self._input_tokens.observe(usage.prompt_tokens)
        self._output_tokens.observe(output)
        if usage.cached_tokens is not None:
            self._cached_tokens.observe(usage.cached_tokens)
        if output > 0:
            self._times_per_token.observe(duration / output)
        if ttft is not None and output > 1:
            self._token_gaps.observe((duration - ttft) / (output - 1))
