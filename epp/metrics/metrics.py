"""What makes the metrics move, and the page that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as prometheus_text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text

from epp.metrics.families import Families
from epp.metrics.instruments import OTHER, Readout
from epp.types import EndpointSpec, Usage

# Clients choose model names freely. So many pairs of asked-for and target model are told apart, with names
# up to this length; a pool serves a handful of them, and a pair takes 200 lines of the page.
MAX_MODEL_PAIRS = 1000
MAX_MODEL_NAME = 256

_OTHER_PAIR = (OTHER, OTHER)

# How the reference counts an answer of a model server that is an error.
_SERVER_ERROR = "ModelServerError"


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
        self._families = Families()
        self._families.info.at(commit, version("epp")).value = 1
        self._pod_queues = Readout(
            "inference_pool_per_pod_queue_size",
            "[ALPHA] Requests queued in each endpoint, as it last said.",
            ("name", "model_server_pod"),
            lambda: (((self._pool, endpoint), waiting) for endpoint, waiting in self._queues()),
        )

    # Requests --------------------------------------------------------------------------------------------

    def request_placed(self, model: str, target: str, priority: int, size: int) -> None:
        """A request has its endpoint; `response_ended` must follow, whatever becomes of it."""
        pair = self._pair(model, target)
        self._families.requests.at(*pair, str(priority)).add()
        self._families.request_sizes.at(*pair).observe(size)
        if model:
            self._families.running.at(pair[0]).add()

    def request_refused(self, model: str, target: str, code: str, reason: str) -> None:
        """A request got an error instead of an endpoint; the models are "" where they are not known."""
        self._families.errors.at(*self._pair(model, target), code).add()
        self._families.refused.at(reason).add()

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
            self._families.running.at(pair[0]).add(-1)
        if status >= 400:
            self._families.errors.at(*pair, _SERVER_ERROR).add()
        if not complete:
            return
        self._families.durations.at(*pair).observe(duration)
        self._families.response_sizes.at(*pair).observe(response_bytes)
        if ttft is not None:
            self._families.first_tokens.at(*pair).observe(ttft)
        if usage is not None:
            self._used(pair, usage, duration, ttft)

    def _used(self, pair: tuple[str, str], usage: Usage, duration: float, ttft: float | None) -> None:
        self._families.input_tokens.at(*pair).observe(usage.prompt_tokens)
        self._families.output_tokens.at(*pair).observe(usage.completion_tokens)
        if usage.cached_tokens is not None:
            self._families.cached_tokens.at(*pair).observe(usage.cached_tokens)
        if usage.completion_tokens > 0:
            self._families.times_per_token.at(*pair).observe(duration / usage.completion_tokens)
        if ttft is not None and usage.completion_tokens > 1:
            self._families.token_gaps.at(*pair).observe((duration - ttft) / (usage.completion_tokens - 1))

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
        self._families.decisions.at().observe(seconds)

    def scheduled(self, target: str, endpoint: EndpointSpec, seconds: float) -> None:
        """The scheduler chose `endpoint` for a request."""
        self._families.scheduling.at().observe(seconds)
        target = target if _is_label(target) else OTHER
        self._families.attempts.at(
            "success", target, endpoint.name, self._namespace, str(endpoint.port)
        ).add()

    def scheduling_failed(self, target: str) -> None:
        """No endpoint could be chosen."""
        self._families.attempts.at("failure", target if _is_label(target) else OTHER, "", "", "").add()

    def plugin_ran(self, extension_point: str, plugin_type: str, name: str, seconds: float) -> None:
        """A plugin did its part for one request."""
        self._families.plugins.at(extension_point, plugin_type, name).observe(seconds)

    def prefix_matched(self, hit_bytes: int, prompt_bytes: int) -> None:
        """So much of a prompt is held by the endpoint that was chosen; the prompt is not empty."""
        self._families.hit_bytes.at().observe(hit_bytes)
        self._families.hit_ratio.at().observe(hit_bytes / prompt_bytes)

    def model_rewritten(self, rule: str, model: str, target: str) -> None:
        """A rewrite rule chose `target` for a request for `model`."""
        self._families.rewrites.at(rule, *self._pair(model, target)).add()

    # The pool --------------------------------------------------------------------------------------------

    def pool_known(self, name: str, namespace: str) -> None:
        """This is the pool from now on."""
        if name != self._pool:
            for family in (
                self._families.pool_ready,
                self._families.pool_waiting,
                self._families.pool_running,
                self._families.pool_kv_usage,
            ):
                family.clear()
        self._pool, self._namespace = name, namespace

    def pool_reloaded(self, outcome: str) -> None:
        """The pool's source was read."""
        self._families.reloads.at(outcome).add()

    def pool_measured(self, *, ready: int, waiting: float, running: float, kv_usage: float) -> None:
        """`ready` endpoints have fresh metrics; the rest are their means, NaN where none says."""
        self._families.pool_ready.at(self._pool).value = ready
        self._families.pool_waiting.at(self._pool).value = waiting
        self._families.pool_running.at(self._pool).value = running
        self._families.pool_kv_usage.at(self._pool).value = kv_usage

    def prefix_index_measured(self, blocks: int) -> None:
        """The index of prompt prefixes has this size."""
        self._families.prefix_size.at().value = blocks

    def watch_queues(self, read: Callable[[], Iterable[tuple[str, float]]]) -> None:
        """From now on `read` is asked for each endpoint's name and queue whenever the page is made."""
        self._queues = read

    # Our own work ----------------------------------------------------------------------------------------

    def scrape_took(self, seconds: float) -> None:
        """An endpoint's metrics page was read."""
        self._families.scrapes.at().observe(seconds)

    def scrape_failed(self, kind: str) -> None:
        """An endpoint's metrics page did not come, or said nothing."""
        self._families.scrape_errors.at(kind).add()

    def limit_hit(self, limit: str) -> None:
        """A peer ran into a bound of the transport."""
        self._families.limits.at(limit).add()

    def stream_opened(self) -> None:
        """Envoy opened a stream; `stream_ended` must follow."""
        self._families.streams_open.at().add()

    def stream_ended(self, outcome: str) -> None:
        """A stream is over."""
        self._families.streams_open.at().add(-1)
        self._families.streams.at(outcome).add()

    def body_passed(self, direction: str, size: int) -> None:
        """A piece of a "request" or "response" body came through."""
        self._families.body_bytes.at(direction).add(size)

    # The page --------------------------------------------------------------------------------------------

    def exposition(self, *, openmetrics: bool) -> Iterator[str]:
        """The page for Prometheus, in pieces of a few KB each, so that a long one can be made in turns."""
        yield from self._families.text(openmetrics)
        yield from self._pod_queues.text(openmetrics)
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
