"""Every metric family of the picker, and what makes them move.

The families with `[ALPHA]` in their help are the reference's (v1.5): same names, labels and bounds. Those of
latency prediction and of flow control are not among them. The `epp_` families say what the reference cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as prometheus_text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text

from epp.metrics import buckets
from epp.metrics.instruments import OTHER, Family, Readout, counter, gauge, histogram
from epp.types import EndpointSpec, Usage

# Clients choose model names freely. So many pairs of asked-for and target model are told apart, with names
# up to this length; a pool serves a handful of them, and a pair takes 200 lines of the page.
MAX_MODEL_PAIRS = 1000
MAX_MODEL_NAME = 256

_OTHER_PAIR = (OTHER, OTHER)

# How the reference counts an answer of a model server that is an error.
_SERVER_ERROR = "ModelServerError"

_MODELS = ("model_name", "target_model_name")


class Metrics:
    """All families. Methods are named after what happened; times are seconds, sizes bytes.

    At most MAX_MODEL_PAIRS pairs of models have label values of their own. Pairs that come after those, and
    names over MAX_MODEL_NAME characters, count as "other". Not to be used by several threads.
    """

    def __init__(self, *, commit: str = "") -> None:
        self._pairs: set[tuple[str, str]] = set()
        self._namespace = ""
        self._queues: Callable[[], Iterable[tuple[str, float]]] = tuple
        self._pool = ""
        self._process = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)

        self._requests = counter(
            "inference_objective_request_total", "[ALPHA] Requests placed.", *_MODELS, "priority"
        )
        self._errors = counter(
            "inference_objective_request_error_total",
            "[ALPHA] Requests refused, and answers of model servers that are errors.",
            *_MODELS,
            "error_code",
        )
        self._running = gauge(
            "inference_objective_running_requests", "[ALPHA] Requests placed and not ended.", "model_name"
        )
        self._durations = histogram(
            "inference_objective_request_duration_seconds",
            "[ALPHA] From a request's headers to the end of its answer.",
            buckets.DURATION,
            *_MODELS,
        )
        self._first_tokens = histogram(
            "inference_objective_request_ttft_seconds",
            "[ALPHA] From a streaming request's headers to the first piece of its answer.",
            buckets.DURATION,
            *_MODELS,
        )
        self._token_gaps = histogram(
            "inference_objective_request_tpot_seconds",
            "[ALPHA] Mean time between the output tokens of a streaming request.",
            buckets.TOKEN_GAP,
            *_MODELS,
        )
        self._times_per_token = histogram(
            "inference_objective_normalized_time_per_output_token_seconds",
            "[ALPHA] A request's duration divided by its output tokens.",
            buckets.TIME_PER_TOKEN,
            *_MODELS,
        )
        self._request_sizes = histogram(
            "inference_objective_request_sizes",
            "[ALPHA] Bytes of request bodies.",
            buckets.REQUEST_BYTES,
            *_MODELS,
        )
        self._response_sizes = histogram(
            "inference_objective_response_sizes",
            "[ALPHA] Bytes of response bodies.",
            buckets.RESPONSE_BYTES,
            *_MODELS,
        )
        self._input_tokens = histogram(
            "inference_objective_input_tokens",
            "[ALPHA] Prompt tokens that answers report.",
            buckets.INPUT_TOKENS,
            *_MODELS,
        )
        self._output_tokens = histogram(
            "inference_objective_output_tokens",
            "[ALPHA] Generated tokens that answers report.",
            buckets.OUTPUT_TOKENS,
            *_MODELS,
        )
        self._cached_tokens = histogram(
            "inference_objective_prompt_cached_tokens",
            "[ALPHA] Prompt tokens that answers report as cached.",
            buckets.INPUT_TOKENS,
            *_MODELS,
        )

        self._pool_kv_usage = gauge(
            "inference_pool_average_kv_cache_utilization",
            "[ALPHA] Mean KV cache use (0 to 1) of the endpoints with fresh metrics.",
            "name",
        )
        self._pool_waiting = gauge(
            "inference_pool_average_queue_size",
            "[ALPHA] Mean requests queued in the endpoints with fresh metrics.",
            "name",
        )
        self._pool_running = gauge(
            "inference_pool_average_running_requests",
            "[ALPHA] Mean requests running in the endpoints with fresh metrics.",
            "name",
        )
        self._pool_ready = gauge("inference_pool_ready_pods", "[ALPHA] Endpoints with fresh metrics.", "name")
        self._pod_queues = Readout(
            "inference_pool_per_pod_queue_size",
            "[ALPHA] Requests queued in each endpoint, as it last said.",
            ("name", "model_server_pod"),
            lambda: (((self._pool, endpoint), waiting) for endpoint, waiting in self._queues()),
        )

        self._scheduling = histogram(
            "inference_extension_scheduler_e2e_duration_seconds",
            "[ALPHA] Admitting a request and choosing its endpoint.",
            buckets.SCHEDULING,
        )
        self._attempts = counter(
            "inference_extension_scheduler_attempts_total",
            "[ALPHA] Attempts to choose an endpoint, and the endpoint chosen.",
            *("status", "target_model_name", "pod_name", "namespace", "port"),
        )
        self._plugins = histogram(
            "inference_extension_plugin_duration_seconds",
            "[ALPHA] One plugin at work on one request.",
            buckets.SCHEDULING,
            *("extension_point", "plugin_type", "plugin_name"),
        )
        self._prefix_size = gauge(
            "inference_extension_prefix_indexer_size", "[ALPHA] Blocks in the index of prompt prefixes."
        )
        self._hit_ratio = histogram(
            "inference_extension_prefix_indexer_hit_ratio",
            "[ALPHA] Part of the prompt (0 to 1) that the index knows on the endpoint chosen.",
            buckets.HIT_RATIO,
        )
        self._hit_bytes = histogram(
            "inference_extension_prefix_indexer_hit_bytes",
            "[ALPHA] Bytes of the prompt that the index knows on the endpoint chosen.",
            buckets.HIT_BYTES,
        )
        self._rewrites = counter(
            "inference_extension_model_rewrite_decisions_total",
            "[ALPHA] Requests whose model was rewritten by a rule.",
            *("model_rewrite_name", "model_name", "target_model"),
        )
        self._info = gauge("inference_extension_info", "[ALPHA] This build; 1.", "commit", "build_ref")
        self._info.at(commit, version("epp")).value = 1

        self._scrapes = histogram(
            "epp_scrape_duration_seconds", "Reading an endpoint's metrics page.", buckets.SCRAPE
        )
        self._scrape_errors = counter("epp_scrape_errors_total", "Scrapes that told nothing.", "kind")
        self._streams_open = gauge("epp_streams_open", "ext_proc streams open, one for each HTTP request.")
        self._streams = counter("epp_streams_total", "ext_proc streams ended, by what ended them.", "outcome")
        self._body_bytes = counter("epp_body_bytes_total", "Bytes of bodies that passed.", "direction")
        self._decisions = histogram(
            "epp_decision_duration_seconds",
            "From a request known in full to the answers for Envoy, reading it included.",
            buckets.SCHEDULING,
        )
        self._refused = counter(
            "epp_refused_total", "Requests refused, by the reason they were told.", "reason"
        )
        self._reloads = counter("epp_pool_reloads_total", "Readings of the pool's source.", "outcome")

    # Requests --------------------------------------------------------------------------------------------

    def request_placed(self, model: str, target: str, priority: int, size: int) -> None:
        """A request has its endpoint; `response_ended` must follow, whatever becomes of it."""
        pair = self._pair(model, target)
        self._requests.at(*pair, str(priority)).add()
        self._request_sizes.at(*pair).observe(size)
        if model:
            self._running.at(pair[0]).add()

    def request_refused(self, model: str, target: str, code: str, reason: str) -> None:
        """A request got an error instead of an endpoint; the models are "" where they are not known."""
        self._errors.at(*self._pair(model, target), code).add()
        self._refused.at(reason).add()

    def response_ended(
        self,
        model: str,
        target: str,
        *,
        status: int,
        complete: bool,
        duration: float,
        response_bytes: int,
        usage: Usage | None,
        ttft: float | None = None,
    ) -> None:
        """A placed request is over.

        `status` 0: no answer came; not `complete`: it was cut off, and says nothing of times and sizes.
        `duration` and `ttft` count from the request's headers; `ttft` only of answers that stream.
        """
        pair = self._pair(model, target)
        if model:
            self._running.at(pair[0]).add(-1)
        if status >= 400:
            self._errors.at(*pair, _SERVER_ERROR).add()
        if not complete:
            return
        self._durations.at(*pair).observe(duration)
        self._response_sizes.at(*pair).observe(response_bytes)
        if ttft is not None:
            self._first_tokens.at(*pair).observe(ttft)
        if usage is not None:
            self._used(pair, usage, duration, ttft)

    def _used(self, pair: tuple[str, str], usage: Usage, duration: float, ttft: float | None) -> None:
        self._input_tokens.at(*pair).observe(usage.prompt_tokens)
        self._output_tokens.at(*pair).observe(usage.completion_tokens)
        if usage.cached_tokens is not None:
            self._cached_tokens.at(*pair).observe(usage.cached_tokens)
        if usage.completion_tokens > 0:
            self._times_per_token.at(*pair).observe(duration / usage.completion_tokens)
        if ttft is not None and usage.completion_tokens > 1:
            self._token_gaps.at(*pair).observe((duration - ttft) / (usage.completion_tokens - 1))

    def _pair(self, model: str, target: str) -> tuple[str, str]:
        pair = (model, target)
        if pair in self._pairs:
            return pair
        if len(self._pairs) >= MAX_MODEL_PAIRS or not _is_label(model) or not _is_label(target):
            return _OTHER_PAIR
        self._pairs.add(pair)
        return pair

    # Decisions -------------------------------------------------------------------------------------------

    def decision(self, seconds: float) -> None:
        """A request was read and decided on."""
        self._decisions.at().observe(seconds)

    def scheduled(self, target: str, endpoint: EndpointSpec, seconds: float) -> None:
        """The scheduler chose `endpoint` for a request."""
        self._scheduling.at().observe(seconds)
        target = target if _is_label(target) else OTHER
        self._attempts.at("success", target, endpoint.name, self._namespace, str(endpoint.port)).add()

    def scheduling_failed(self, target: str) -> None:
        """No endpoint could be chosen."""
        self._attempts.at("failure", target if _is_label(target) else OTHER, "", "", "").add()

    def plugin_ran(self, extension_point: str, plugin_type: str, name: str, seconds: float) -> None:
        """A plugin did its part for one request."""
        self._plugins.at(extension_point, plugin_type, name).observe(seconds)

    def prefix_matched(self, hit_bytes: int, prompt_bytes: int) -> None:
        """So much of a prompt is held by the endpoint that was chosen; the prompt is not empty."""
        self._hit_bytes.at().observe(hit_bytes)
        self._hit_ratio.at().observe(hit_bytes / prompt_bytes)

    def model_rewritten(self, rule: str, model: str, target: str) -> None:
        """A rewrite rule chose `target` for a request for `model`."""
        self._rewrites.at(rule, *self._pair(model, target)).add()

    # The pool --------------------------------------------------------------------------------------------

    def pool_known(self, name: str, namespace: str) -> None:
        """This is the pool from now on."""
        if name != self._pool:
            for family in (self._pool_ready, self._pool_waiting, self._pool_running, self._pool_kv_usage):
                family.clear()
        self._pool, self._namespace = name, namespace

    def pool_reloaded(self, outcome: str) -> None:
        """The pool's source was read."""
        self._reloads.at(outcome).add()

    def pool_measured(self, *, ready: int, waiting: float, running: float, kv_usage: float) -> None:
        """`ready` endpoints have fresh metrics; the rest are their means, NaN where none says."""
        self._pool_ready.at(self._pool).value = ready
        self._pool_waiting.at(self._pool).value = waiting
        self._pool_running.at(self._pool).value = running
        self._pool_kv_usage.at(self._pool).value = kv_usage

    def prefix_index_measured(self, blocks: int) -> None:
        """The index of prompt prefixes has this size."""
        self._prefix_size.at().value = blocks

    def watch_queues(self, read: Callable[[], Iterable[tuple[str, float]]]) -> None:
        """From now on `read` is asked for each endpoint's name and queue whenever the page is made."""
        self._queues = read

    # Our own work ----------------------------------------------------------------------------------------

    def scrape_took(self, seconds: float) -> None:
        """An endpoint's metrics page was read."""
        self._scrapes.at().observe(seconds)

    def scrape_failed(self, kind: str) -> None:
        """An endpoint's metrics page did not come, or said nothing."""
        self._scrape_errors.at(kind).add()

    def stream_opened(self) -> None:
        """Envoy opened a stream; `stream_ended` must follow."""
        self._streams_open.at().add()

    def stream_ended(self, outcome: str) -> None:
        """A stream is over."""
        self._streams_open.at().add(-1)
        self._streams.at(outcome).add()

    def body_passed(self, direction: str, size: int) -> None:
        """A piece of a "request" or "response" body came through."""
        self._body_bytes.at(direction).add(size)

    # The page --------------------------------------------------------------------------------------------

    def exposition(self, *, openmetrics: bool) -> Iterator[str]:
        """The page for Prometheus, in pieces of a few KB each, so that a long one can be made in turns."""
        for family in vars(self).values():
            if isinstance(family, Family | Readout):
                yield from family.text(openmetrics)
        process = (openmetrics_text if openmetrics else prometheus_text)(self._process).decode()
        yield process  # ends with OpenMetrics' "# EOF"


def _is_label(name: str) -> bool:
    if len(name) > MAX_MODEL_NAME:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True
