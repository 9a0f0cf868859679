"""What a simulated server has counted since its start, in the families of vLLM 0.32."""

from __future__ import annotations

from epp.sim.engine import StepResult
from epp.sim.histogram import Histogram
from epp.sim.sequence import Sequence

# Bounds of vLLM's histograms.
_LATENCY = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
)
_TOKEN_GAP = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80),
)
_BATCHED = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_PREEMPTIONS = (1, 2, 3, 4, 5, 10, 20)
_CHOICES = (1, 2, 5, 10, 20)
_HTTP = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60),
)


class Statistics:
    """Counters and histograms of one server; latencies are simulated seconds where not said otherwise."""

    def __init__(self, model: str, max_model_len: int) -> None:
        lengths = one_two_five(max_model_len)
        bounds: dict[str, tuple[float, ...]] = {
            "request_prompt_tokens": lengths,
            "request_generation_tokens": lengths,
            "iteration_tokens_total": _BATCHED,
            "request_max_num_generation_tokens": lengths,
            "request_params_n": _CHOICES,
            "request_params_max_tokens": lengths,
            "time_to_first_token_seconds": _FIRST_TOKEN,
            "inter_token_latency_seconds": _TOKEN_GAP,
            "request_time_per_output_token_seconds": _TOKEN_GAP,
            "e2e_request_latency_seconds": _LATENCY,
            "request_queue_time_seconds": _LATENCY,
            "request_inference_time_seconds": _LATENCY,
            "request_prefill_time_seconds": _LATENCY,
            "request_decode_time_seconds": _LATENCY,
            "request_num_preemptions": _PREEMPTIONS,
            "request_prefill_kv_computed_tokens": lengths,
        }
        self.histograms = {
            name: Histogram(f"vllm:{name}", bounds[name], engine="0", model_name=model) for name in bounds
        }
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.finished = 0  # requests
        self.adapters: dict[str, float] = {}  # "a,b" as the page lists it -> unix time
        self.http_answers: dict[tuple[str, str, str], int] = {}  # handler, method, status class -> answers
        self.http_seconds = Histogram("http_request_duration_highr_seconds", _HTTP)  # by the clock

    def observe_step(self, result: StepResult) -> None:
        """Counts what the step that has ended gave."""
        if result.batched_tokens:
            self._observe("iteration_tokens_total", result.batched_tokens)
        for sequence in result.tokens:
            if sequence.produced == 1:
                self.prompt_tokens += sequence.request.prompt_tokens
                first_token = _since(sequence.first_token_at, sequence.arrived_at)
                self._observe("time_to_first_token_seconds", first_token)
            else:
                self._observe("inter_token_latency_seconds", sequence.token_gap)
        self.generation_tokens += len(result.tokens)
        for sequence in result.finished:
            self._observe_finished(sequence)

    def observe_adapters(self, adapters: tuple[str, ...], unix_now: float) -> None:
        """Notes which adapters have requests with output; to be called once there was any."""
        self.adapters[",".join(adapters)] = unix_now

    def observe_http(self, handler: str, method: str, status: int, seconds: float) -> None:
        """Counts one HTTP answer; `seconds` by the clock."""
        key = (handler, method, f"{status // 100}xx")
        self.http_answers[key] = self.http_answers.get(key, 0) + 1
        self.http_seconds.observe(seconds)

    def _observe(self, name: str, value: float) -> None:
        self.histograms[name].observe(value)

    def _observe_finished(self, sequence: Sequence) -> None:
        request = sequence.request
        first, last = sequence.first_token_at, sequence.last_token_at
        gaps = sequence.produced - 1
        self.finished += 1
        for name, value in (
            ("request_prompt_tokens", request.prompt_tokens),
            ("request_generation_tokens", sequence.produced),
            ("request_max_num_generation_tokens", request.output_tokens),
            ("request_params_n", 1),
            ("request_params_max_tokens", request.output_tokens),
            ("request_time_per_output_token_seconds", _since(last, first) / gaps if gaps else 0.0),
            ("e2e_request_latency_seconds", _since(last, sequence.arrived_at)),
            ("request_queue_time_seconds", _since(sequence.scheduled_at, sequence.arrived_at)),
            ("request_inference_time_seconds", _since(last, sequence.scheduled_at)),
            ("request_prefill_time_seconds", _since(first, sequence.scheduled_at)),
            ("request_decode_time_seconds", _since(last, first)),
            ("request_num_preemptions", sequence.preemptions),
            ("request_prefill_kv_computed_tokens", request.prompt_tokens - sequence.cached_tokens),
        ):
            self._observe(name, value)


def one_two_five(largest: int) -> tuple[int, ...]:
    """1, 2, 5, 10, 20, 50, ... up to `largest`: vLLM's bounds for lengths."""
    bounds = (mantissa * 10**exponent for exponent in range(len(str(largest))) for mantissa in (1, 2, 5))
    return tuple(bound for bound in bounds if bound <= largest)


def _since(end: float | None, start: float | None) -> float:
    """`end - start` of a finished sequence, which has both."""
    assert end is not None
    assert start is not None
    return end - start
