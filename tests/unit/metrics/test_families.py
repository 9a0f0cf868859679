"""The families' names, types and labels: those of the reference must stay as its dashboards know them."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as read

from epp.metrics.families import Families
from epp.metrics.instruments import Distribution, Family

M = ("model_name", "target_model_name")

REFERENCE = {
    "inference_objective_request_total": ("counter", (*M, "priority")),
    "inference_objective_request_error_total": ("counter", (*M, "error_code")),
    "inference_objective_running_requests": ("gauge", ("model_name",)),
    "inference_objective_request_duration_seconds": ("histogram", M),
    "inference_objective_request_ttft_seconds": ("histogram", M),
    "inference_objective_request_tpot_seconds": ("histogram", M),
    "inference_objective_normalized_time_per_output_token_seconds": ("histogram", M),
    "inference_objective_request_sizes": ("histogram", M),
    "inference_objective_response_sizes": ("histogram", M),
    "inference_objective_input_tokens": ("histogram", M),
    "inference_objective_output_tokens": ("histogram", M),
    "inference_objective_prompt_cached_tokens": ("histogram", M),
    "inference_pool_average_kv_cache_utilization": ("gauge", ("name",)),
    "inference_pool_average_queue_size": ("gauge", ("name",)),
    "inference_pool_average_running_requests": ("gauge", ("name",)),
    "inference_pool_ready_pods": ("gauge", ("name",)),
    "inference_extension_scheduler_e2e_duration_seconds": ("histogram", ()),
    "inference_extension_scheduler_attempts_total": (
        "counter",
        ("status", "target_model_name", "pod_name", "namespace", "port"),
    ),
    "inference_extension_plugin_duration_seconds": (
        "histogram",
        ("extension_point", "plugin_type", "plugin_name"),
    ),
    "inference_extension_prefix_indexer_size": ("gauge", ()),
    "inference_extension_prefix_indexer_hit_ratio": ("histogram", ()),
    "inference_extension_prefix_indexer_hit_bytes": ("histogram", ()),
    "inference_extension_info": ("gauge", ("commit", "build_ref")),
    "inference_extension_model_rewrite_decisions_total": (
        "counter",
        ("model_rewrite_name", "model_name", "target_model"),
    ),
}


def described() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """name -> (type, labels, help) of every family, as a page with one child each tells it."""
    families = Families()
    for family in vars(families).values():
        assert isinstance(family, Family)
        child = family.at(*("x" for _ in family.labels))
        if isinstance(child, Distribution):
            child.observe(1.0)
    found = {}
    for family in read("".join(families.text(openmetrics=False))):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = tuple(label for label in family.samples[0].labels if label != "le")
        found[name] = (family.type, labels, family.documentation)
    return found


def test_the_references_families() -> None:
    found = {name: told for name, told in described().items() if name.startswith("inference_")}
    assert {name: (kind, labels) for name, (kind, labels, _) in found.items()} == REFERENCE
    assert all(text.startswith("[ALPHA] ") for _, _, text in found.values())


def test_our_families() -> None:
    ours = described().keys() - REFERENCE.keys()
    assert ours
    assert all(name.startswith("epp_") for name in ours)


def test_every_family_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    assert [name for name in described() if f"`{name}`" not in page] == []
