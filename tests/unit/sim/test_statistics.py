from epp.sim.engine import StepResult
from epp.sim.sequence import Sequence, SimRequest
from epp.sim.statistics import Statistics, one_two_five


def step(*sequences: Sequence, batched: int = 1) -> StepResult:
    """A step that gave each of these a token."""
    finished = [sequence for sequence in sequences if sequence.finished]
    return StepResult(ends_at=None, tokens=list(sequences), finished=finished, batched_tokens=batched)


def sums(statistics: Statistics) -> dict[str, tuple[int, float]]:
    """Count and sum of the histograms that saw something."""
    return {
        name: (histogram.count, histogram.sum)
        for name, histogram in statistics.histograms.items()
        if histogram.count
    }


def test_bounds_of_lengths() -> None:
    assert one_two_five(2048) == (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
    assert one_two_five(5) == (1, 2, 5)


def test_a_request_from_its_first_token_to_its_last() -> None:
    statistics = Statistics("base", 2048)
    request = SimRequest("a", prompt_tokens=100, output_tokens=3)
    sequence = Sequence(request, arrived_at=1, scheduled_at=3, cached_tokens=64, preemptions=1)

    sequence.add_tokens(4)
    statistics.observe_step(step(sequence, batched=36))
    assert sums(statistics) == {"iteration_tokens_total": (1, 36), "time_to_first_token_seconds": (1, 3)}
    assert (statistics.prompt_tokens, statistics.generation_tokens, statistics.finished) == (100, 1, 0)

    for now in (5, 7):
        sequence.add_tokens(now)
        statistics.observe_step(step(sequence))
    assert sums(statistics) == {
        "request_prompt_tokens": (1, 100),
        "request_generation_tokens": (1, 3),
        "iteration_tokens_total": (3, 38),
        "request_max_num_generation_tokens": (1, 3),
        "request_params_n": (1, 1),
        "request_params_max_tokens": (1, 3),
        "time_to_first_token_seconds": (1, 3),
        "inter_token_latency_seconds": (2, 3),
        "request_time_per_output_token_seconds": (1, 1.5),
        "e2e_request_latency_seconds": (1, 6),
        "request_queue_time_seconds": (1, 2),
        "request_inference_time_seconds": (1, 4),
        "request_prefill_time_seconds": (1, 1),
        "request_decode_time_seconds": (1, 3),
        "request_num_preemptions": (1, 1),
        "request_prefill_kv_computed_tokens": (1, 36),
    }
    assert (statistics.prompt_tokens, statistics.generation_tokens, statistics.finished) == (100, 3, 1)


def test_a_single_token_has_no_time_between_tokens() -> None:
    statistics = Statistics("base", 2048)
    sequence = Sequence(SimRequest("a", 1, 1), arrived_at=0, scheduled_at=0)
    sequence.add_tokens(1)
    statistics.observe_step(step(sequence))
    assert statistics.histograms["inter_token_latency_seconds"].count == 0
    assert statistics.histograms["request_time_per_output_token_seconds"].sum == 0


def test_the_start_of_the_first_step_is_no_step() -> None:
    statistics = Statistics("base", 2048)
    statistics.observe_step(step(batched=0))
    assert sums(statistics) == {}


def test_adapters_keep_the_time_they_were_last_seen() -> None:
    statistics = Statistics("base", 2048)
    statistics.observe_adapters(("a", "b"), 10)
    statistics.observe_adapters((), 20)
    statistics.observe_adapters(("a", "b"), 30)
    assert statistics.adapters == {"a,b": 30, "": 20}


def test_http_answers_by_class_of_status() -> None:
    statistics = Statistics("base", 2048)
    for status in (200, 404, 204):
        statistics.observe_http("/v1/models", "GET", status, 0.5)
    assert statistics.http_answers == {("/v1/models", "GET", "2xx"): 2, ("/v1/models", "GET", "4xx"): 1}
    assert (statistics.http_seconds.count, statistics.http_seconds.sum) == (3, 1.5)
