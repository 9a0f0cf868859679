"""What a simulated server says of itself: the page of GET /metrics, and the load header of its answers.

Names, labels and manners are those of a running vLLM 0.32, among them the ones that mislead:

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

from epp.sim.engine import EngineConfig, EngineCounters
from epp.sim.histogram import braces, number
from epp.sim.statistics import Statistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SLEEP_STATES = ("awake", "weights_offloaded", "discard_all")
_FINISHED_REASONS = ("stop", "length", "abort", "error", "repetition")

_HISTOGRAM_HELP = {
    "request_prompt_tokens": "Tokens of prompt, by request.",
    "request_generation_tokens": "Tokens generated, by request.",
    "iteration_tokens_total": "Tokens computed, by step of the engine.",
    "request_max_num_generation_tokens": "Most tokens that a choice could generate, by request.",
    "request_params_n": "Parameter n, by request.",
    "request_params_max_tokens": "Parameter max_tokens, by request.",
    "time_to_first_token_seconds": "Time from arrival to the first token.",
    "inter_token_latency_seconds": "Time between two tokens of a request.",
    "request_time_per_output_token_seconds": "Mean time between tokens, by request.",
    "e2e_request_latency_seconds": "Time from arrival to the last token, by request.",
    "request_queue_time_seconds": "Time spent waiting, by request.",
    "request_inference_time_seconds": "Time spent running, by request.",
    "request_prefill_time_seconds": "Time spent on the prompt, by request.",
    "request_decode_time_seconds": "Time spent on the output, by request.",
    "request_num_preemptions": "Preemptions, by request.",
    "request_prefill_kv_computed_tokens": "Tokens of prompt that no cache had, by request.",
}


@dataclass(frozen=True, slots=True)
class Gauges:
    """What the server holds at this moment; `waiting` includes `deferred`, `kv_usage` is 0..1."""

    running: int
    waiting: int
    deferred: int
    kv_usage: float


@dataclass(frozen=True, slots=True)
class _By:
    """Values of a family with one more label, by that label's value."""

    label: str
    values: Mapping[str, float]

    def same(self, value: float) -> _By:
        """The same series, all with `value`."""
        return _By(self.label, dict.fromkeys(self.values, value))


def load_header(form: str, gauges: Gauges) -> str | None:
    """The `endpoint-load-metrics` for an `endpoint-load-metrics-format` of `form`; None for none."""
    metrics = {"num_requests_waiting": float(gauges.waiting), "kv_cache_usage_perc": float(gauges.kv_usage)}
    match form.strip().upper():
        case "TEXT":
            return "TEXT " + ", ".join(f"named_metrics.{name}={value}" for name, value in metrics.items())
        case "JSON":
            return "JSON " + json.dumps({"named_metrics": metrics})
        case _:
            return None


class MetricsPage:
    """The page of one server; `created` is unix time."""

    def __init__(self, model: str, config: EngineConfig, created: float) -> None:
        self._labels = {"engine": "0", "model_name": model}
        self._created = created
        self._max_loras = config.max_loras
        self._cache_config = _cache_config(config)

    def render(self, statistics: Statistics, gauges: Gauges, counters: EngineCounters, process: str) -> bytes:
        """The page; `process` is what the Python client says of the process it runs in."""
        parts = (
            [process],
            self._gauges(gauges),
            self._counters(statistics, counters),
            self._histograms(statistics),
            self._adapters(statistics),
            [self._cache_config],
            self._http(statistics),
        )
        return "".join(text for part in parts for text in part).encode()

    def _gauges(self, gauges: Gauges) -> Iterator[str]:
        reasons = {"capacity": gauges.waiting - gauges.deferred, "deferred": gauges.deferred}
        sleep = {state: float(state == "awake") for state in _SLEEP_STATES}
        for name, help_text, values in (
            ("num_requests_running", "Requests in the batch.", gauges.running),
            ("num_requests_waiting", "Requests in the queue.", gauges.waiting),
            ("num_requests_waiting_by_reason", "Requests in the queue, by reason.", _By("reason", reasons)),
            ("engine_sleep_state", "Whether the engine is awake.", _By("sleep_state", sleep)),
            ("kv_cache_usage_perc", "Share of KV blocks in use, 0 to 1.", gauges.kv_usage),
        ):
            yield self._family(name, help_text, "gauge", values)

    def _counters(self, statistics: Statistics, counters: EngineCounters) -> Iterator[str]:
        hits = counters.prefix_hits
        sources = {
            "local_compute": max(0, statistics.prompt_tokens - hits),
            "local_cache_hit": hits,
            "external_kv_transfer": 0,
        }
        by_reason = {"length": statistics.finished, "abort": counters.cancelled}
        finished = {reason: by_reason.get(reason, 0) for reason in _FINISHED_REASONS}
        for name, help_text, values in (
            ("prefix_cache_queries", "Tokens looked up in the prefix cache.", counters.prefix_queries),
            ("prefix_cache_hits", "Tokens found in the prefix cache.", hits),
            ("external_prefix_cache_queries", "Tokens looked up in other servers' caches.", 0),
            ("external_prefix_cache_hits", "Tokens found in other servers' caches.", 0),
            ("mm_cache_queries", "Items looked up in the multi-modal cache.", 0),
            ("mm_cache_hits", "Items found in the multi-modal cache.", 0),
            ("num_preemptions", "Preemptions.", counters.preemptions),
            ("prompt_tokens", "Prompt tokens processed.", statistics.prompt_tokens),
            ("prompt_tokens_by_source", "Prompt tokens, by where they came from.", _By("source", sources)),
            ("prompt_tokens_cached", "Prompt tokens found in a cache.", hits),
            ("generation_tokens", "Tokens generated.", statistics.generation_tokens),
            ("request_success", "Requests that ended, by how.", _By("finished_reason", finished)),
        ):
            yield self._family(f"{name}_total", help_text, "counter", values)
            created = values.same(self._created) if isinstance(values, _By) else self._created
            yield self._family(f"{name}_created", help_text, "gauge", created)

    def _histograms(self, statistics: Statistics) -> Iterator[str]:
        for name, histogram in statistics.histograms.items():
            yield _head(f"vllm:{name}", _HISTOGRAM_HELP[name], "histogram")
            yield histogram.render()
            yield self._family(f"{name}_created", _HISTOGRAM_HELP[name], "gauge", self._created)

    def _adapters(self, statistics: Statistics) -> Iterator[str]:
        yield _head("vllm:lora_requests_info", "Adapters that have requests.", "gauge")
        for names, changed in statistics.adapters.items():
            labels = braces(
                max_lora=self._max_loras, running_lora_adapters=names, waiting_lora_adapters=names
            )
            yield f"vllm:lora_requests_info{labels} {number(changed)}\n"

    def _http(self, statistics: Statistics) -> Iterator[str]:
        yield _head("http_requests_total", "Answers, by handler, method and status.", "counter")
        for (handler, method, status), count in statistics.http_answers.items():
            labels = braces(handler=handler, method=method, status=status)
            yield f"http_requests_total{labels} {count}.0\n"
        yield _head("http_request_duration_highr_seconds", "Time to answer, all handlers.", "histogram")
        yield statistics.http_seconds.render()
        yield _head("http_request_duration_highr_seconds_created", "Time to answer, all handlers.", "gauge")
        yield f"http_request_duration_highr_seconds_created {number(self._created)}\n"

    def _family(self, name: str, help_text: str, kind: str, values: _By | float) -> str:
        text = _head(f"vllm:{name}", help_text, kind)
        if not isinstance(values, _By):
            return f"{text}vllm:{name}{braces(**self._labels)} {number(values)}\n"
        for key, value in values.values.items():
            text += f"vllm:{name}{braces(**self._labels, **{values.label: key})} {number(value)}\n"
        return text


def _head(name: str, help_text: str, kind: str) -> str:
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n"


def _cache_config(config: EngineConfig) -> str:
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
    name = "vllm:cache_config_info"
    return f"{_head(name, 'How the KV cache is set up.', 'gauge')}{name}{braces(**labels)} 1.0\n"
