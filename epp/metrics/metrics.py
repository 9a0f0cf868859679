"""What makes the metrics move, and the page that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as prometheus_text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text

from epp.metrics.families import Families
from epp.metrics.instruments import MAX_CHILDREN, OTHER, Number, Readout
from epp.metrics.series import ModelSeries
from epp.types import EndpointSpec, Usage

# Clients choose model names freely. So many pairs of asked-for and target model are told apart, with names
# up to this length; a pool serves a handful of them, and a pair takes 200 lines of the page.
MAX_MODEL_PAIRS = 1000
MAX_MODEL_NAME = 256


class Metrics:
    """All families. Methods are named after what happened; times are seconds, sizes bytes.

    At most MAX_MODEL_PAIRS pairs of models have label values of their own. Pairs that come after those, and
    names over MAX_MODEL_NAME characters, count as "other". Not to be used by several threads.
    """

    def __init__(self, *, commit: str = "") -> None:
        self._namespace = ""
        self._queues: Callable[[], Iterable[tuple[str, float]]] = tuple
        self._pool = ""
        self._process = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)
        self._families = families = Families()
        self._pairs: dict[tuple[str, str], ModelSeries] = {}
        self._other_models = ModelSeries(families, OTHER, OTHER)
        # `attempts` of endpoints in this namespace: five labels are dear to put together.
        self._chosen: dict[tuple[str, str, int], Number] = {}
        # What a request meets in any case, so that none of it is looked up.
        self._scheduling = families.scheduling.at()
        self._decisions = families.decisions.at()
        self._hit_bytes = families.hit_bytes.at()
        self._hit_ratio = families.hit_ratio.at()
        self._loop_lag = families.loop_lag.at()
        self._streams_open = families.streams_open.at()
        self._body_bytes = {way: families.body_bytes.at(way) for way in ("request", "response")}
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
        self._series(model, target).placed(priority, size)

    def request_refused(self, model: str, target: str, code: str, reason: str) -> None:
        """A request got an error instead of an endpoint; the models are "" where they are not known."""
        self._series(model, target).failed(code)
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
        series = self._series(model, target)
        series.ended(status)
        if complete:
            series.answered(duration, response_bytes, usage, ttft)

    def _series(self, model: str, target: str) -> ModelSeries:
        return self._pairs.get((model, target)) or self._new_series(model, target)

    def _new_series(self, model: str, target: str) -> ModelSeries:
        if len(self._pairs) >= MAX_MODEL_PAIRS or not _is_label(model) or not _is_label(target):
            return self._other_models
        series = self._pairs[model, target] = ModelSeries(self._families, model, target)
        return series

    # Decisions -------------------------------------------------------------------------------------------

    def decision(self, seconds: float) -> None:
        """A request was read and decided on."""
        self._decisions.observe(seconds)

    def scheduled(self, target: str, endpoint: EndpointSpec, seconds: float) -> None:
        """The scheduler chose `endpoint` for a request."""
        self._scheduling.observe(seconds)
        key = target, endpoint.name, endpoint.port
        chosen = self._chosen.get(key)
        if chosen is None:
            chosen = self._attempts("success", target, endpoint.name, self._namespace, str(endpoint.port))
            if len(self._chosen) < MAX_CHILDREN and _is_label(target):
                self._chosen[key] = chosen
        chosen.value += 1

    def scheduling_failed(self, target: str) -> None:
        """No endpoint could be chosen."""
        self._attempts("failure", target, "", "", "").add()

    def _attempts(self, status: str, target: str, *endpoint: str) -> Number:
        return self._families.attempts.at(status, target if _is_label(target) else OTHER, *endpoint)

    def plugin_duration(self, extension_point: str, plugin_type: str, name: str) -> Callable[[float], object]:
        """What is to be told how long each call of a plugin took."""
        return self._families.plugins.at(extension_point, plugin_type, name).observe

    def plugin_misbehaved(self, plugin_type: str, name: str, how: str) -> None:
        """What a plugin said could not be used."""
        self._families.misbehaviours.at(plugin_type, name, how).add()

    def prefix_matched(self, hit_bytes: int, prompt_bytes: int) -> None:
        """So much of a prompt is held by the endpoint that was chosen; the prompt is not empty."""
        self._hit_bytes.observe(hit_bytes)
        self._hit_ratio.observe(hit_bytes / prompt_bytes)

    def model_rewritten(self, rule: str, model: str, target: str) -> None:
        """A rewrite rule chose `target` for a request for `model`."""
        series = self._series(model, target)
        self._families.rewrites.at(rule, series.model, series.target).add()

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
        if namespace != self._namespace:
            self._chosen.clear()
        self._pool, self._namespace = name, namespace

    def config_applied(self, generation: int, hash_: str) -> None:
        """A configuration came into force."""
        self._families.config_generation.at().value = generation
        self._families.config_info.clear()
        self._families.config_info.at(hash_).value = 1

    def config_reloaded(self, outcome: str) -> None:
        """A new version of the configuration file was read."""
        self._families.config_reloads.at(outcome).add()

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

    def loop_lagged(self, seconds: float) -> None:
        """The event loop came back to something so much later than it should have."""
        self._loop_lag.observe(seconds)

    def limit_hit(self, limit: str) -> None:
        """A peer ran into a bound of the transport."""
        self._families.limits.at(limit).add()

    def stream_opened(self) -> None:
        """Envoy opened a stream; `stream_ended` must follow."""
        self._streams_open.value += 1

    def stream_ended(self, outcome: str) -> None:
        """A stream is over."""
        self._streams_open.value -= 1
        self._families.streams.at(outcome).add()

    def body_passed(self, direction: str, size: int) -> None:
        """A piece of a "request" or "response" body came through."""
        self._body_bytes[direction].value += size

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
