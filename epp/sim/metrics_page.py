"""What a simulated server says of itself: the page of GET /metrics, and the load header of its answers.

Names, labels, buckets and manners are those of a running vLLM 0.32, among them the ones that mislead:

- `kv_cache_usage_perc` counts blocks held by running requests; the prefix cache does not show in it.
- `prefix_cache_queries` and `_hits` count tokens.
- `lora_requests_info` names the adapters that have a request with output, twice, as running and as waiting;
  one that is only queued stands nowhere. The order of names changes, each combination is a series of its own,
  and old series stay: the largest value (unix time) is the latest. Before the first of all there is none.
- `model_name` is always the base model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from epp.sim.engine import EngineConfig, EngineCounters, Sequence, StepResult
from epp.sim.histogram import Histogram, number

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

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
_HTTP = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75),
    *(1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60),
)

FINISHED_REASONS = ("stop", "length", "abort", "error", "repetition")


@dataclass(frozen=True, slots=True)
class Gauges:
    """What the server holds at this moment; `waiting` includes `deferred`, `kv_usage` is 0..1."""

    running: int
    waiting: int
    deferred: int
    kv_usage: float


def load_header(value: str, gauges: Gauges) -> str | None:
    """The `endpoint-load-metrics` for an `endpoint-load-metrics-format` of `value`; None for none."""
    metrics = {"num_requests_waiting": float(gauges.waiting), "kv_cache_usage_perc": float(gauges.kv_usage)}
    match value.strip().upper():
        case "TEXT":
            return "TEXT " + ", ".join(f"named_metrics.{name}={metric}" for name, metric in metrics.items())
        case "JSON":
            return "JSON " + json.dumps({"named_metrics": metrics})
        case _:
            return None


class ServerMetrics:
    """The counters and histograms of one server since its start.

    `created` is unix time; the latencies observed are simulated seconds.
    """

    def __init__(self, model: str, config: EngineConfig, max_model_len: int, created: float) -> None:
        self._config = config
        self._created = number(created)
        self._labels = f'engine="0",model_name="{model}"'
        self._model = model
        self._adapters: dict[str, float] = {}  # "a,b" as the page lists it -> unix time
        self._http: dict[tuple[str, str, str], int] = {}  # handler, method, status class -> answers
        self._http_seconds = Histogram("http_request_duration_highr_seconds", _HTTP, "")
        self._prompt_tokens = self._generated_tokens = self._finished = 0
        self._cache_config = self._cache_config_line()
        lengths = _one_two_five(max_model_len)
        self._histograms = {
            name: (help_text, Histogram(f"vllm:{name}", bounds, self._labels))
            for name, help_text, bounds in (
                ("request_prompt_tokens", "Tokens of prompt, by request.", lengths),
                ("request_generation_tokens", "Tokens generated, by request.", lengths),
                ("iteration_tokens_total", "Tokens computed, by step of the engine.", _BATCHED),
                ("request_max_num_generation_tokens", "Most tokens any choice could generate.", lengths),
                ("request_params_n", "Parameter n of requests.", (1, 2, 5, 10, 20)),
                ("request_params_max_tokens", "Parameter max_tokens of requests.", lengths),
                ("time_to_first_token_seconds", "From arrival to the first token.", _FIRST_TOKEN),
                ("inter_token_latency_seconds", "Between two tokens of a request.", _TOKEN_GAP),
                (
                    "request_time_per_output_token_seconds",
                    "Mean time between tokens, by request.",
                    _TOKEN_GAP,
                ),
                ("e2e_request_latency_seconds", "From arrival to the last token.", _LATENCY),
                ("request_queue_time_seconds", "Time spent waiting, by request.", _LATENCY),
                ("request_inference_time_seconds", "Time spent running, by request.", _LATENCY),
                ("request_prefill_time_seconds", "Time spent on the prompt, by request.", _LATENCY),
                ("request_decode_time_seconds", "Time spent on the output, by request.", _LATENCY),
                ("request_num_preemptions", "Preemptions, by request.", (1, 2, 3, 4, 5, 10, 20)),
                ("request_prefill_kv_computed_tokens", "Tokens of prompt not found in the cache.", lengths),
            )
        }

    def observe_step(self, result: StepResult) -> None:
        """Counts what the step that has ended gave."""
        if result.batched_tokens:
            self._observe("iteration_tokens_total", result.batched_tokens)
        for sequence in result.tokens:
            if sequence.produced == 1:
                self._prompt_tokens += sequence.request.prompt_tokens
                self._observe(
                    "time_to_first_token_seconds", _since(sequence.first_token_at, sequence.arrived_at)
                )
            else:
                self._observe("inter_token_latency_seconds", sequence.token_gap)
        self._generated_tokens += len(result.tokens)
        for sequence in result.finished:
            self._observe_finished(sequence)

    def observe_adapters(self, adapters: tuple[str, ...], unix_now: float) -> None:
        """Notes which adapters have requests with output; to be called once there was any."""
        self._adapters[",".join(adapters)] = unix_now

    def observe_http(self, handler: str, method: str, status: int, seconds: float) -> None:
        """Counts one HTTP answer; `seconds` by the clock."""
        key = (handler, method, f"{status // 100}xx")
        self._http[key] = self._http.get(key, 0) + 1
        self._http_seconds.observe(seconds)

    def render(self, gauges: Gauges, counters: EngineCounters, process: str) -> bytes:
        """The page; `process` is what the Python client says of the process it runs in."""
        return "".join((process, *self._engine_families(gauges, counters), *self._http_families())).encode()

    def _observe(self, name: str, value: float) -> None:
        self._histograms[name][1].observe(value)

    def _observe_finished(self, sequence: Sequence) -> None:
        request = sequence.request
        first, last = sequence.first_token_at, sequence.last_token_at
        gaps = sequence.produced - 1
        self._finished += 1
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

    def _engine_families(self, gauges: Gauges, counters: EngineCounters) -> Iterator[str]:
        hits = counters.prefix_hits
        yield from self._gauge("num_requests_running", "Requests in the running batch.", {"": gauges.running})
        yield from self._gauge("num_requests_waiting", "Requests in the queue.", {"": gauges.waiting})
        yield from self._gauge(
            "num_requests_waiting_by_reason",
            "Requests in the queue by what they wait for: capacity, or a passing constraint (deferred).",
            {
                ',reason="capacity"': gauges.waiting - gauges.deferred,
                ',reason="deferred"': gauges.deferred,
            },
        )
        yield from self._gauge(
            "engine_sleep_state",
            "Whether the engine is awake, and how it sleeps.",
            {
                f',sleep_state="{state}"': int(state == "awake")
                for state in ("awake", "weights_offloaded", "discard_all")
            },
        )
        yield from self._gauge(
            "kv_cache_usage_perc", "Share of KV blocks in use, 0 to 1.", {"": gauges.kv_usage}
        )
        yield from self._counter(
            "prefix_cache_queries", "Tokens looked up in the prefix cache.", {"": counters.prefix_queries}
        )
        yield from self._counter("prefix_cache_hits", "Tokens found in the prefix cache.", {"": hits})
        for kind in ("queries", "hits"):
            yield from self._counter(
                f"external_prefix_cache_{kind}", f"Prefix cache {kind} beyond this server.", {"": 0}
            )
            yield from self._counter(f"mm_cache_{kind}", f"Multi-modal cache {kind}.", {"": 0})
        yield from self._counter("num_preemptions", "Preemptions.", {"": counters.preemptions})
        yield from self._counter("prompt_tokens", "Prompt tokens processed.", {"": self._prompt_tokens})
        yield from self._counter(
            "prompt_tokens_by_source",
            "Prompt tokens by where they came from.",
            {
                ',source="local_compute"': max(0, self._prompt_tokens - hits),
                ',source="local_cache_hit"': hits,
                ',source="external_kv_transfer"': 0,
            },
        )
        yield from self._counter("prompt_tokens_cached", "Prompt tokens found in a cache.", {"": hits})
        yield from self._counter("generation_tokens", "Tokens generated.", {"": self._generated_tokens})
        finished = {"length": self._finished, "abort": counters.cancelled}
        yield from self._counter(
            "request_success",
            "Requests that ended, by how.",
            {f',finished_reason="{reason}"': finished.get(reason, 0) for reason in FINISHED_REASONS},
        )
        for name, (help_text, histogram) in self._histograms.items():
            yield _head(f"vllm:{name}", help_text, "histogram")
            yield histogram.render()
            yield from self._gauge(f"{name}_created", help_text, {"": self._created})
        yield _head("vllm:lora_requests_info", "Adapters that have requests.", "gauge")
        for names, changed in self._adapters.items():
            yield (
                f'vllm:lora_requests_info{{max_lora="{self._config.max_loras}",running_lora_adapters="{names}",'
                f'waiting_lora_adapters="{names}"}} {number(changed)}\n'
            )
        yield self._cache_config

    def _http_families(self) -> Iterator[str]:
        yield _head("http_requests_total", "Answers by handler, method and status.", "counter")
        for (handler, method, status), count in self._http.items():
            labels = f'handler="{handler}",method="{method}",status="{status}"'
            yield f"http_requests_total{{{labels}}} {count}.0\n"
        yield _head("http_request_duration_highr_seconds", "Time to answer, all handlers.", "histogram")
        yield self._http_seconds.render()
        yield _head("http_request_duration_highr_seconds_created", "Time to answer, all handlers.", "gauge")
        yield f"http_request_duration_highr_seconds_created {self._created}\n"

    def _gauge(self, name: str, help_text: str, values: Mapping[str, float | str]) -> Iterator[str]:
        yield _head(f"vllm:{name}", help_text, "gauge")
        for labels, value in values.items():
            text = value if isinstance(value, str) else number(value)
            yield f"vllm:{name}{{{self._labels}{labels}}} {text}\n"

    def _counter(self, name: str, help_text: str, values: Mapping[str, int]) -> Iterator[str]:
        yield _head(f"vllm:{name}_total", help_text, "counter")
        for labels, value in values.items():
            yield f"vllm:{name}_total{{{self._labels}{labels}}} {number(value)}\n"
        yield from self._gauge(f"{name}_created", help_text, dict.fromkeys(values, self._created))

    def _cache_config_line(self) -> str:
        config = self._config
        labels = {
            "block_size": config.block_size,
            "cache_dtype": "auto",
            "effective_attention_block_size": config.block_size,
            "enable_prefix_caching": True,
            "engine": 0,
            "gpu_memory_utilization": 0.9,
            "is_attention_free": False,
            "kv_cache_memory_bytes": config.max_tokens * config.step_time.kv_bytes_per_token,
            "kv_cache_size_tokens": config.max_tokens,
            "num_cpu_blocks": None,
            "num_gpu_blocks": config.num_blocks,
            "num_gpu_blocks_override": None,
            "prefix_caching_hash_algo": "xxhash",
            "sliding_window": None,
            "user_specified_block_size": False,
        }
        text = ",".join(f'{name}="{value}"' for name, value in labels.items())
        name = "vllm:cache_config_info"
        return f"{_head(name, 'How the KV cache is set up.', 'gauge')}{name}{{{text}}} 1.0\n"


def _head(name: str, help_text: str, kind: str) -> str:
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"


def _since(end: float | None, start: float | None) -> float:
    """`end - start` of a finished sequence, which has both."""
    assert end is not None
    assert start is not None
    return end - start


def _one_two_five(largest: int) -> tuple[int, ...]:
    """1, 2, 5, 10, 20, 50, ... up to `largest`."""
    bounds = (mantissa * 10**exponent for exponent in range(len(str(largest))) for mantissa in (1, 2, 5))
    return tuple(bound for bound in bounds if bound <= largest)
