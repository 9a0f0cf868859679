"""The page, read by prometheus_client's parser and held against what a real vLLM 0.32 said."""

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from epp.sim.engine import Engine, EngineConfig, EngineCounters
from epp.sim.metrics_page import Gauges, MetricsPage, load_header
from epp.sim.sequence import SimRequest
from epp.sim.statistics import Statistics

IDLE = Gauges(running=0, waiting=0, deferred=0, kv_usage=0.0)
CREATED = 1_795_346_465.5

# Series of the real page: name of a sample -> its labels beside `engine` and `model_name`.
REAL_SERIES = {
    "vllm:num_requests_running": set(),
    "vllm:num_requests_waiting": set(),
    "vllm:num_requests_waiting_by_reason": {"reason"},
    "vllm:engine_sleep_state": {"sleep_state"},
    "vllm:kv_cache_usage_perc": set(),
    "vllm:prefix_cache_queries_total": set(),
    "vllm:prefix_cache_queries_created": set(),
    "vllm:prefix_cache_hits_total": set(),
    "vllm:external_prefix_cache_queries_total": set(),
    "vllm:external_prefix_cache_hits_total": set(),
    "vllm:mm_cache_queries_total": set(),
    "vllm:mm_cache_hits_total": set(),
    "vllm:num_preemptions_total": set(),
    "vllm:prompt_tokens_total": set(),
    "vllm:prompt_tokens_by_source_total": {"source"},
    "vllm:prompt_tokens_cached_total": set(),
    "vllm:generation_tokens_total": set(),
    "vllm:request_success_total": {"finished_reason"},
    "vllm:request_success_created": {"finished_reason"},
    "vllm:request_prompt_tokens_bucket": {"le"},
    "vllm:request_generation_tokens_bucket": {"le"},
    "vllm:iteration_tokens_total_bucket": {"le"},
    "vllm:iteration_tokens_total_created": set(),
    "vllm:request_max_num_generation_tokens_bucket": {"le"},
    "vllm:request_params_n_bucket": {"le"},
    "vllm:request_params_max_tokens_bucket": {"le"},
    "vllm:time_to_first_token_seconds_bucket": {"le"},
    "vllm:time_to_first_token_seconds_count": set(),
    "vllm:time_to_first_token_seconds_sum": set(),
    "vllm:time_to_first_token_seconds_created": set(),
    "vllm:inter_token_latency_seconds_bucket": {"le"},
    "vllm:request_time_per_output_token_seconds_bucket": {"le"},
    "vllm:e2e_request_latency_seconds_bucket": {"le"},
    "vllm:request_queue_time_seconds_bucket": {"le"},
    "vllm:request_inference_time_seconds_bucket": {"le"},
    "vllm:request_prefill_time_seconds_bucket": {"le"},
    "vllm:request_decode_time_seconds_bucket": {"le"},
    "vllm:request_num_preemptions_bucket": {"le"},
    "vllm:request_prefill_kv_computed_tokens_bucket": {"le"},
}

# Bounds of two of its histograms.
REAL_BOUNDS = {
    "vllm:time_to_first_token_seconds": "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 "
    "1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0 160.0 640.0 2560.0 +Inf",
    "vllm:e2e_request_latency_seconds": "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 "
    "60.0 120.0 240.0 480.0 960.0 1920.0 7680.0 +Inf",
}


def text(
    statistics: Statistics | None = None,
    gauges: Gauges = IDLE,
    counters: EngineCounters | None = None,
    config: EngineConfig | None = None,
) -> str:
    page = MetricsPage("base", config or EngineConfig(), CREATED)
    statistics = statistics or Statistics("base", 131_072)
    return page.render(statistics, gauges, counters or EngineCounters(), process="").decode()


def families(page: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(page)}


def samples(page: str) -> dict[str, float]:
    """Value by name and labels, but those that every series has."""
    found = {}
    for family in families(page).values():
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k not in ("engine", "model_name")}
            found[sample.name + "".join(f" {value}" for value in labels.values())] = sample.value
    return found


def test_series_are_those_of_a_real_server() -> None:
    found: dict[str, set[str]] = {}
    for family in families(text()).values():
        for sample in family.samples:
            found.setdefault(sample.name, set(sample.labels))
    shared = {"engine", "model_name"}
    assert {name: found.get(name) for name in REAL_SERIES} == {
        name: labels | shared for name, labels in REAL_SERIES.items()
    }


@pytest.mark.parametrize("name", REAL_BOUNDS)
def test_bounds_are_those_of_a_real_server(name: str) -> None:
    family = families(text())[name]
    bounds = [sample.labels["le"] for sample in family.samples if sample.name.endswith("_bucket")]
    assert " ".join(bounds) == REAL_BOUNDS[name]


def test_token_bounds_go_up_to_the_longest_context() -> None:
    lines = text().splitlines()
    bounds = [line.split('le="')[1].split('"')[0] for line in lines if "request_prompt_tokens_bucket" in line]
    assert bounds[:4] == ["1.0", "2.0", "5.0", "10.0"]
    assert bounds[-2:] == ["100000.0", "+Inf"]


def test_the_page_is_as_large_as_a_real_one() -> None:
    assert 40_000 < len(text()) < 60_000


def test_gauges() -> None:
    page = samples(text(gauges=Gauges(running=4, waiting=48, deferred=2, kv_usage=0.25)))
    assert page["vllm:num_requests_running"] == 4
    assert page["vllm:num_requests_waiting"] == 48
    assert page["vllm:num_requests_waiting_by_reason capacity"] == 46
    assert page["vllm:num_requests_waiting_by_reason deferred"] == 2
    assert page["vllm:kv_cache_usage_perc"] == 0.25


def test_cache_config_is_in_labels() -> None:
    page = families(text(config=EngineConfig(num_blocks=1000, block_size=32)))
    [sample] = page["vllm:cache_config_info"].samples
    assert sample.value == 1
    assert sample.labels["block_size"] == "32"
    assert sample.labels["num_gpu_blocks"] == "1000"
    assert sample.labels["kv_cache_size_tokens"] == "32000"
    assert "model_name" not in sample.labels


def test_what_requests_leave_behind() -> None:
    engine = Engine(EngineConfig())
    statistics = Statistics("base", 131_072)
    engine.submit(SimRequest("a", 32, 3, [1, 2]), now=0.0)
    engine.submit(SimRequest("b", 32, 1, [1, 2]), now=0.0)
    now: float | None = 0.0
    while now is not None:
        result = engine.step(now)
        statistics.observe_step(result)
        now = result.ends_at
    page = samples(text(statistics, IDLE, engine.counters))
    assert page["vllm:request_success_total length"] == 2
    assert page["vllm:prompt_tokens_total"] == 64
    assert page["vllm:generation_tokens_total"] == 4
    assert page["vllm:prefix_cache_queries_total"] == 64
    assert page["vllm:prefix_cache_hits_total"] == 16  # the last block has the token that is always computed
    assert page["vllm:prompt_tokens_by_source_total local_compute"] == 48
    assert page["vllm:time_to_first_token_seconds_count"] == 2
    assert page["vllm:inter_token_latency_seconds_count"] == 2
    assert page["vllm:e2e_request_latency_seconds_count"] == 2
    assert page["vllm:request_prefill_kv_computed_tokens_sum"] == 48
    assert page["vllm:iteration_tokens_total_sum"] == 50
    first, last = (
        page["vllm:time_to_first_token_seconds_sum"] / 2,
        page["vllm:e2e_request_latency_seconds_sum"],
    )
    assert 0 < first < last


def test_cancelled_requests_are_aborted_ones() -> None:
    engine = Engine(EngineConfig())
    engine.submit(SimRequest("a", 32, 3), now=0.0)
    engine.cancel("a")
    assert samples(text(counters=engine.counters))["vllm:request_success_total abort"] == 1


def test_adapters_are_listed_twice_and_old_combinations_stay() -> None:
    statistics = Statistics("base", 131_072)
    assert families(text(statistics))["vllm:lora_requests_info"].samples == []

    statistics.observe_adapters(("food-review",), 1000.0)
    statistics.observe_adapters(("food-review", "cad-fabricator"), 2000.0)
    statistics.observe_adapters(("cad-fabricator", "food-review"), 3000.0)
    statistics.observe_adapters((), 4000.0)
    statistics.observe_adapters(("food-review",), 5000.0)
    series = families(text(statistics))["vllm:lora_requests_info"].samples
    assert [(sample.labels["running_lora_adapters"], sample.value) for sample in series] == [
        ("food-review", 5000.0),
        ("food-review,cad-fabricator", 2000.0),
        ("cad-fabricator,food-review", 3000.0),
        ("", 4000.0),
    ]
    for sample in series:
        assert sample.labels["waiting_lora_adapters"] == sample.labels["running_lora_adapters"]
        assert set(sample.labels) == {"max_lora", "running_lora_adapters", "waiting_lora_adapters"}


def test_http_answers_are_counted() -> None:
    statistics = Statistics("base", 131_072)
    statistics.observe_http("/v1/completions", "POST", 200, 0.5)
    statistics.observe_http("/v1/completions", "POST", 404, 0.1)
    statistics.observe_http("/v1/completions", "POST", 200, 0.1)
    page = samples(text(statistics))
    assert page["http_requests_total /v1/completions POST 2xx"] == 2
    assert page["http_requests_total /v1/completions POST 4xx"] == 1
    assert page["http_request_duration_highr_seconds_count"] == 3


def test_what_the_client_says_of_its_process_comes_first() -> None:
    page = MetricsPage("base", EngineConfig(), CREATED)
    text = page.render(Statistics("base", 2048), IDLE, EngineCounters(), process="process_open_fds 7.0\n")
    assert text.startswith(b"process_open_fds 7.0\n# HELP ")


def test_odd_names_do_not_break_the_page() -> None:
    statistics = Statistics('a "base"', 2048)
    statistics.observe_adapters(('say "hi"',), 1.0)
    page = MetricsPage('a "base"', EngineConfig(), CREATED)
    found = families(page.render(statistics, IDLE, EngineCounters(), process="").decode())
    assert found["vllm:num_requests_running"].samples[0].labels["model_name"] == 'a "base"'
    assert found["vllm:e2e_request_latency_seconds"].samples[0].labels["model_name"] == 'a "base"'
    assert found["vllm:lora_requests_info"].samples[0].labels["running_lora_adapters"] == 'say "hi"'


@pytest.mark.parametrize(
    ("asked", "header"),
    [
        ("TEXT", "TEXT named_metrics.num_requests_waiting=3.0, named_metrics.kv_cache_usage_perc=0.5"),
        ("text", "TEXT named_metrics.num_requests_waiting=3.0, named_metrics.kv_cache_usage_perc=0.5"),
        ("JSON", 'JSON {"named_metrics": {"num_requests_waiting": 3.0, "kv_cache_usage_perc": 0.5}}'),
        ("BIN", None),
        ("", None),
    ],
)
def test_the_load_header(asked: str, header: str | None) -> None:
    assert load_header(asked, Gauges(running=1, waiting=3, deferred=1, kv_usage=0.5)) == header
