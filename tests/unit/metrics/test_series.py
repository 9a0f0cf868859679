"""What one pair of models is told of its requests, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from epp.metrics.families import Families
from epp.metrics.series import ModelSeries
from epp.types import Usage


def samples(families: Families) -> dict[str, dict[str, float]]:
    """What is not zero, by name and label values; of histograms counts and sums."""
    found: dict[str, dict[str, float]] = {}
    for family in read_prometheus("".join(families.text(openmetrics=False))):
        for sample in family.samples:
            if sample.value and not sample.name.endswith("_bucket"):
                found.setdefault(sample.name, {})[" ".join(sample.labels.values())] = sample.value
    return found


def test_nothing_is_shown_before_something_happens() -> None:
    families = Families()
    before = "".join(families.text(openmetrics=False))
    ModelSeries(families, "m", "t")
    assert "".join(families.text(openmetrics=False)) == before


def test_requests_are_told_apart_by_priority() -> None:
    families = Families()
    series = ModelSeries(families, "m", "t")
    for priority in (0, -1, 0):
        series.placed(priority, 100)
    series.ended(0)
    assert samples(families) == {
        "inference_objective_request_total": {"m t 0": 2, "m t -1": 1},
        "inference_objective_request_sizes_count": {"m t": 3},
        "inference_objective_request_sizes_sum": {"m t": 300},
        "inference_objective_running_requests": {"m": 2},
    }


def test_two_targets_of_a_model_share_what_is_running() -> None:
    families = Families()
    both = [ModelSeries(families, "m", target) for target in ("t", "u")]
    for series in both:
        series.placed(0, 1)
    both[0].ended(200)
    assert samples(families)["inference_objective_running_requests"] == {"m": 1}


def test_errors() -> None:
    families = Families()
    series = ModelSeries(families, "m", "t")
    series.failed("BadRequest")
    for status in (200, 399, 400, 503):
        series.ended(status)
    assert samples(families) == {
        "inference_objective_request_error_total": {"m t BadRequest": 1, "m t ModelServerError": 2}
    }


def test_an_answer_of_one_token_has_no_gap_between_tokens() -> None:
    families = Families()
    ModelSeries(families, "m", "t").answered(2.0, 300, Usage(10, 1), ttft=0.5)
    shown = samples(families)
    assert shown["inference_objective_request_ttft_seconds_sum"] == {"m t": 0.5}
    assert shown["inference_objective_normalized_time_per_output_token_seconds_sum"] == {"m t": 2.0}
    assert "inference_objective_request_tpot_seconds_count" not in shown
    assert "inference_objective_prompt_cached_tokens_count" not in shown
