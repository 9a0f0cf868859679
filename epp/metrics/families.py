"""Every metric family of the picker but those of the process itself.

The families with `[ALPHA]` in their help are the reference's (v1.5): same names, labels and bounds. Those of
latency prediction and of flow control are not among them. The `epp_` families say what the reference cannot.
"""

from __future__ import annotations

from collections.abc import Iterator

from epp.metrics import buckets
from epp.metrics.instruments import Family, counter, gauge, histogram

_MODELS = ("model_name", "target_model_name")


class Families:
    """The families as attributes, in the order in which they stand on the page."""

    def __init__(self) -> None:
        self.requests = counter(
            "inference_objective_request_total", "[ALPHA] Requests placed.", *_MODELS, "priority"
        )
        self.errors = counter(
            "inference_objective_request_error_total",
            "[ALPHA] Requests refused, and answers of model servers that are errors.",
            *_MODELS,
            "error_code",
        )
        self.running = gauge(
            "inference_objective_running_requests", "[ALPHA] Requests placed and not ended.", "model_name"
        )
        self.durations = histogram(
            "inference_objective_request_duration_seconds",
            "[ALPHA] From a request's headers to the end of its answer.",
            buckets.DURATION,
            *_MODELS,
        )
        self.first_tokens = histogram(
            "inference_objective_request_ttft_seconds",
            "[ALPHA] From a streaming request's headers to the first piece of its answer.",
            buckets.DURATION,
            *_MODELS,
        )
        self.token_gaps = histogram(
            "inference_objective_request_tpot_seconds",
            "[ALPHA] Mean time between the output tokens of a streaming request.",
            buckets.TOKEN_GAP,
            *_MODELS,
        )
        self.times_per_token = histogram(
            "inference_objective_normalized_time_per_output_token_seconds",
            "[ALPHA] A request's duration divided by its output tokens.",
            buckets.TIME_PER_TOKEN,
            *_MODELS,
        )
        self.request_sizes = histogram(
            "inference_objective_request_sizes",
            "[ALPHA] Bytes of request bodies.",
            buckets.REQUEST_BYTES,
            *_MODELS,
        )
        self.response_sizes = histogram(
            "inference_objective_response_sizes",
            "[ALPHA] Bytes of response bodies.",
            buckets.RESPONSE_BYTES,
            *_MODELS,
        )
        self.input_tokens = histogram(
            "inference_objective_input_tokens",
            "[ALPHA] Prompt tokens that answers report.",
            buckets.INPUT_TOKENS,
            *_MODELS,
        )
        self.output_tokens = histogram(
            "inference_objective_output_tokens",
            "[ALPHA] Generated tokens that answers report.",
            buckets.OUTPUT_TOKENS,
            *_MODELS,
        )
        self.cached_tokens = histogram(
            "inference_objective_prompt_cached_tokens",
            "[ALPHA] Prompt tokens that answers report as cached.",
            buckets.INPUT_TOKENS,
            *_MODELS,
        )

        self.pool_kv_usage = gauge(
            "inference_pool_average_kv_cache_utilization",
            "[ALPHA] Mean KV cache use (0 to 1) of the endpoints with fresh metrics.",
            "name",
        )
        self.pool_waiting = gauge(
            "inference_pool_average_queue_size",
            "[ALPHA] Mean requests queued in the endpoints with fresh metrics.",
            "name",
        )
        self.pool_running = gauge(
            "inference_pool_average_running_requests",
            "[ALPHA] Mean requests running in the endpoints with fresh metrics.",
            "name",
        )
        self.pool_ready = gauge("inference_pool_ready_pods", "[ALPHA] Endpoints with fresh metrics.", "name")

        self.scheduling = histogram(
            "inference_extension_scheduler_e2e_duration_seconds",
            "[ALPHA] Admitting a request and choosing its endpoint.",
            buckets.SCHEDULING,
        )
        self.attempts = counter(
            "inference_extension_scheduler_attempts_total",
            "[ALPHA] Attempts to choose an endpoint, and the endpoint chosen.",
            *("status", "target_model_name", "pod_name", "namespace", "port"),
        )
        self.plugins = histogram(
            "inference_extension_plugin_duration_seconds",
            "[ALPHA] One plugin at work on one request.",
            buckets.SCHEDULING,
            *("extension_point", "plugin_type", "plugin_name"),
        )
        self.prefix_size = gauge(
            "inference_extension_prefix_indexer_size", "[ALPHA] Blocks in the index of prompt prefixes."
        )
        self.hit_ratio = histogram(
            "inference_extension_prefix_indexer_hit_ratio",
            "[ALPHA] Part of the prompt (0 to 1) that the index knows on the endpoint chosen.",
            buckets.HIT_RATIO,
        )
        self.hit_bytes = histogram(
            "inference_extension_prefix_indexer_hit_bytes",
            "[ALPHA] Bytes of the prompt that the index knows on the endpoint chosen.",
            buckets.HIT_BYTES,
        )
        self.rewrites = counter(
            "inference_extension_model_rewrite_decisions_total",
            "[ALPHA] Requests whose model was rewritten by a rule.",
            *("model_rewrite_name", "model_name", "target_model"),
        )
        self.info = gauge("inference_extension_info", "[ALPHA] This build; 1.", "commit", "build_ref")

        self.scrapes = histogram(
            "epp_scrape_duration_seconds", "Reading an endpoint's metrics page.", buckets.SCRAPE
        )
        self.scrape_errors = counter("epp_scrape_errors_total", "Scrapes that told nothing.", "kind")
        self.streams_open = gauge("epp_streams_open", "ext_proc streams open, one for each HTTP request.")
        self.streams = counter("epp_streams_total", "ext_proc streams ended, by what ended them.", "outcome")
        self.loop_lag = histogram(
            "epp_event_loop_lag_seconds",
            "How late the event loop was, looked at 50 times a second.",
            buckets.LOOP_LAG,
        )
        self.limits = counter(
            "epp_transport_limits_total", "Bounds of the transport that a peer ran into.", "limit"
        )
        self.misbehaviours = counter(
            "epp_plugin_misbehaviours_total",
            "Results of plugins that could not be used, and why.",
            "type",
            "name",
            "reason",
        )
        self.body_bytes = counter("epp_body_bytes_total", "Bytes of bodies that passed.", "direction")
        self.decisions = histogram(
            "epp_decision_duration_seconds",
            "From a request known in full to the answers for Envoy, reading it included.",
            buckets.SCHEDULING,
        )
        self.refused = counter(
            "epp_refused_total", "Requests refused, by the reason they were told.", "reason"
        )
        self.reloads = counter("epp_pool_reloads_total", "Readings of the pool's source.", "outcome")
        self.config_generation = gauge(
            "epp_config_generation", "The configuration in force: 1 at the start, one more with each change."
        )
        self.config_info = gauge("epp_config_info", "The hash of the configuration in force; 1.", "hash")
        self.config_reloads = counter(
            "epp_config_reloads_total", "New versions of the configuration file.", "outcome"
        )

    def text(self, openmetrics: bool) -> Iterator[str]:
        """All of them, in pieces as `Family.text` gives them."""
        for family in vars(self).values():
            assert isinstance(family, Family)
            yield from family.text(openmetrics)
