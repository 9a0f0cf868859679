"""What each event does to the page, in the reference's names."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from epp.metrics import Metrics
from epp.metrics.metrics import MAX_MODEL_NAME, MAX_MODEL_PAIRS
from epp.types import EndpointSpec, Usage


def page(metrics: Metrics) -> dict[str, float]:
    """The samples that are not zero, as they stand on the page, without process metrics and buckets."""
    lines = "".join(metrics.exposition(openmetrics=False)).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(("inference_", "epp_")))
    ignored = ("inference_extension_info",)
    return {
        name: float(value)
        for name, value in pairs
        if float(value) and "_bucket{" not in name and not name.startswith(ignored)
    }


def ended(metrics: Metrics, model: str = "m", target: str = "t", **overrides: Any) -> None:
    told: dict[str, Any] = {
        "status": 200,
        "complete": True,
        "duration": 2.0,
        "response_bytes": 300,
        "usage": Usage(10, 5, 4),
    }
    metrics.response_ended(model, target, **(told | overrides))


M = 'model_name="m",target_model_name="t"'


def test_a_request_from_placing_to_its_end() -> None:
    metrics = Metrics()
    metrics.request_placed("m", "t", -1, 120)
    placed = {
        f'inference_objective_request_total{{{M},priority="-1"}}': 1,
        f"inference_objective_request_sizes_sum{{{M}}}": 120,
        f"inference_objective_request_sizes_count{{{M}}}": 1,
    }
    assert page(metrics) == placed | {'inference_objective_running_requests{model_name="m"}': 1}
    ended(metrics, ttft=0.4)
    assert page(metrics) == placed | {
        f"inference_objective_request_duration_seconds_sum{{{M}}}": 2.0,
        f"inference_objective_request_duration_seconds_count{{{M}}}": 1,
        f"inference_objective_request_ttft_seconds_sum{{{M}}}": 0.4,
        f"inference_objective_request_ttft_seconds_count{{{M}}}": 1,
        f"inference_objective_request_tpot_seconds_sum{{{M}}}": 0.4,
        f"inference_objective_request_tpot_seconds_count{{{M}}}": 1,
        f"inference_objective_normalized_time_per_output_token_seconds_sum{{{M}}}": 0.4,
        f"inference_objective_normalized_time_per_output_token_seconds_count{{{M}}}": 1,
        f"inference_objective_response_sizes_sum{{{M}}}": 300,
        f"inference_objective_response_sizes_count{{{M}}}": 1,
        f"inference_objective_input_tokens_sum{{{M}}}": 10,
        f"inference_objective_input_tokens_count{{{M}}}": 1,
        f"inference_objective_output_tokens_sum{{{M}}}": 5,
        f"inference_objective_output_tokens_count{{{M}}}": 1,
        f"inference_objective_prompt_cached_tokens_sum{{{M}}}": 4,
        f"inference_objective_prompt_cached_tokens_count{{{M}}}": 1,
    }


def test_what_is_not_known_is_not_counted() -> None:
    metrics = Metrics()
    ended(metrics, model="", usage=None)
    ended(metrics, model="", usage=Usage(10, 0))
    names = {name.partition("{")[0] for name in page(metrics)}
    assert names == {
        "inference_objective_request_duration_seconds_sum",
        "inference_objective_request_duration_seconds_count",
        "inference_objective_response_sizes_sum",
        "inference_objective_response_sizes_count",
        "inference_objective_input_tokens_sum",
        "inference_objective_input_tokens_count",
        "inference_objective_output_tokens_count",
    }


def test_an_answer_cut_off_only_ends_the_request() -> None:
    metrics = Metrics()
    metrics.request_placed("m", "t", 0, 1)
    before = page(metrics)
    ended(metrics, complete=False, status=0)
    assert page(metrics) == {key: value for key, value in before.items() if "running" not in key}


@pytest.mark.parametrize(("status", "errors"), [(0, 0), (200, 0), (204, 0), (304, 0), (400, 1), (503, 1)])
def test_answers_that_are_errors(status: int, errors: int) -> None:
    metrics = Metrics()
    ended(metrics, status=status)
    name = f'inference_objective_request_error_total{{{M},error_code="ModelServerError"}}'
    assert page(metrics).get(name, 0) == errors


def test_a_refused_request() -> None:
    metrics = Metrics()
    metrics.request_refused("", "", "BadRequest", "no_model")
    labels = 'model_name="",target_model_name="",error_code="BadRequest"'
    assert page(metrics) == {
        f"inference_objective_request_error_total{{{labels}}}": 1,
        'epp_refused_total{reason="no_model"}': 1,
    }


def test_scheduling() -> None:
    metrics = Metrics()
    metrics.pool_known("llama", "prod")
    metrics.scheduled("t", EndpointSpec("pod-1", "10.0.0.1", 8000), 0.0003)
    metrics.scheduling_failed("t")
    metrics.plugin_duration("Scorer", "queue-scorer", "queue")(0.0001)
    metrics.plugin_misbehaved("queue-scorer", "queue", "raised")
    metrics.prefix_matched(512, 1024)
    metrics.prefix_index_measured(77)
    metrics.model_rewritten("canary", "m", "t")
    metrics.decision(0.0004)
    attempts = "inference_extension_scheduler_attempts_total"
    plugins = "inference_extension_plugin_duration_seconds"
    chosen = 'target_model_name="t",pod_name="pod-1",namespace="prod",port="8000"'
    labels = 'extension_point="Scorer",plugin_type="queue-scorer",plugin_name="queue"'
    assert page(metrics) == {
        "inference_extension_scheduler_e2e_duration_seconds_sum": 0.0003,
        "inference_extension_scheduler_e2e_duration_seconds_count": 1,
        f'{attempts}{{status="success",{chosen}}}': 1,
        f'{attempts}{{status="failure",target_model_name="t",pod_name="",namespace="",port=""}}': 1,
        f"{plugins}_sum{{{labels}}}": 0.0001,
        f"{plugins}_count{{{labels}}}": 1,
        'epp_plugin_misbehaviours_total{type="queue-scorer",name="queue",reason="raised"}': 1,
        "inference_extension_prefix_indexer_hit_bytes_sum": 512,
        "inference_extension_prefix_indexer_hit_bytes_count": 1,
        "inference_extension_prefix_indexer_hit_ratio_sum": 0.5,
        "inference_extension_prefix_indexer_hit_ratio_count": 1,
        "inference_extension_prefix_indexer_size": 77,
        "inference_extension_model_rewrite_decisions_total"
        '{model_rewrite_name="canary",model_name="m",target_model="t"}': 1,
        "epp_decision_duration_seconds_sum": 0.0004,
        "epp_decision_duration_seconds_count": 1,
    }


def test_an_endpoint_that_comes_back_elsewhere_is_counted_as_what_it_is() -> None:
    metrics = Metrics()
    for namespace, port in (("prod", 8000), ("prod", 8000), ("prod", 9000), ("test", 8000)):
        metrics.pool_known("llama", namespace)
        metrics.scheduled("t", EndpointSpec("pod-1", "10.0.0.1", port), 0.1)
    attempts = {name: value for name, value in page(metrics).items() if "attempts" in name}
    name = (
        'inference_extension_scheduler_attempts_total{status="success",target_model_name="t",pod_name="pod-1"'
    )
    assert attempts == {
        f'{name},namespace="prod",port="8000"}}': 2,
        f'{name},namespace="prod",port="9000"}}': 1,
        f'{name},namespace="test",port="8000"}}': 1,
    }


def test_the_pool() -> None:
    metrics = Metrics()
    metrics.watch_queues(lambda: [("pod-1", 3.0), ("pod-2", 1.0)])
    metrics.pool_known("llama", "prod")
    metrics.pool_measured(ready=2, waiting=2.0, running=7.5, kv_usage=0.25)
    assert page(metrics) == {
        'inference_pool_ready_pods{name="llama"}': 2,
        'inference_pool_average_queue_size{name="llama"}': 2.0,
        'inference_pool_average_running_requests{name="llama"}': 7.5,
        'inference_pool_average_kv_cache_utilization{name="llama"}': 0.25,
        'inference_pool_per_pod_queue_size{name="llama",model_server_pod="pod-1"}': 3.0,
        'inference_pool_per_pod_queue_size{name="llama",model_server_pod="pod-2"}': 1.0,
    }
    metrics.watch_queues(tuple)
    metrics.pool_known("qwen", "prod")
    assert page(metrics) == {}


def test_long_names_of_models_are_not_remembered() -> None:
    metrics = Metrics()
    endpoint = EndpointSpec("pod", "10.0.0.1", 8000)
    tracemalloc.start()
    try:
        for number in range(20):
            metrics.scheduled(f"{number}" * 1_000_000, endpoint, 0.01)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_our_own_work() -> None:
    metrics = Metrics()
    metrics.scrape_took(0.02)
    metrics.scrape_failed("timeout")
    metrics.loop_lagged(0.004)
    metrics.stream_opened()
    metrics.stream_opened()
    metrics.stream_ended("complete")
    metrics.body_passed("request", 100)
    metrics.pool_reloaded("applied")
    assert page(metrics) == {
        "epp_scrape_duration_seconds_sum": 0.02,
        "epp_scrape_duration_seconds_count": 1,
        'epp_scrape_errors_total{kind="timeout"}': 1,
        "epp_event_loop_lag_seconds_sum": 0.004,
        "epp_event_loop_lag_seconds_count": 1,
        "epp_streams_open": 1,
        'epp_streams_total{outcome="complete"}': 1,
        'epp_body_bytes_total{direction="request"}': 100,
        'epp_pool_reloads_total{outcome="applied"}': 1,
    }


def test_the_configuration() -> None:
    metrics = Metrics()
    metrics.config_applied(1, "aaa")
    metrics.config_applied(2, "bbb")
    metrics.config_reloaded("applied")
    metrics.config_reloaded("refused")
    assert page(metrics) == {
        "epp_config_generation": 2,
        'epp_config_info{hash="bbb"}': 1,
        'epp_config_reloads_total{outcome="applied"}': 1,
        'epp_config_reloads_total{outcome="refused"}': 1,
    }


def test_models_are_bounded_and_what_is_running_returns_to_zero() -> None:
    metrics = Metrics()
    names = [f"model-{number}" for number in range(MAX_MODEL_PAIRS + 10)]
    for name in names:
        metrics.request_placed(name, name, 0, 1)
    running = page(metrics)
    assert running['inference_objective_running_requests{model_name="other"}'] == 10
    assert sum(name.startswith("inference_objective_running") for name in running) == MAX_MODEL_PAIRS + 1
    for name in names:
        ended(metrics, model=name, target=name)
    assert not any("running" in name for name in page(metrics))


@pytest.mark.parametrize("name", ["x" * (MAX_MODEL_NAME + 1), "half a pair \ud800"])
def test_names_that_are_no_labels(name: str) -> None:
    metrics = Metrics()
    metrics.request_placed(name, "t", 0, 1)
    metrics.scheduled(name, EndpointSpec("pod-1", "10.0.0.1", 8000), 0.1)
    metrics.scheduling_failed(name)
    assert "".join(metrics.exposition(openmetrics=False)).encode().count(b'="other"') > 3


def test_the_whole_page_is_valid() -> None:
    metrics = Metrics(commit="abc")
    metrics.request_placed('quo"te\\', "new\nline", 0, 100)
    ended(metrics)
    text = "".join(metrics.exposition(openmetrics=False))
    families = {family.name: family for family in read_prometheus(text)}
    ours = [family for name, family in families.items() if name.startswith("inference_")]
    assert len(ours) == 25
    assert all(family.documentation.startswith("[ALPHA] ") for family in ours)
    assert {"process_cpu_seconds", "python_info", "python_gc_collections"} <= families.keys()
    assert families["inference_extension_info"].samples[0].labels["commit"] == "abc"
    assert "_created" not in text
    openmetrics = "".join(metrics.exposition(openmetrics=True))
    assert openmetrics.endswith("# EOF\n")
    assert {family.name for family in read_openmetrics(openmetrics)} == families.keys()
