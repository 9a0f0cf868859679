from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.scrape.engines import ENGINES, override, read_load
from epp.types import LoadSample

PAGES = Path(__file__).parent / "pages"
VLLM = ENGINES["vllm"]


def page(name: str) -> bytes:
    return (PAGES / f"{name}.txt").read_bytes()


# Each engine ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "name", "load"),
    [
        (
            "vllm",
            "vllm_load",
            LoadSample(48, 4, 0.25, 128, 4096, 2, frozenset({"food-review", "cad-fabricator"})),
        ),
        ("vllm", "vllm_idle", LoadSample(0, 0, 0.0, 128, 4096)),
        ("sglang", "sglang", LoadSample(7, 3, 0.5, 1, 20_000)),
        ("trtllm-serve", "trtllm", LoadSample(2, 5, 0.75, 32, 1000)),
        ("triton-tensorrt-llm", "triton", LoadSample(6, 9, 0.125, 64, 2048)),
    ],
)
def test_each_engine_tells_its_load(engine: str, name: str, load: LoadSample) -> None:
    assert read_load(page(name), ENGINES[engine]) == load


def test_the_table_is_keyed_by_the_engines_names() -> None:
    assert {name: engine.name for name, engine in ENGINES.items()} == {name: name for name in ENGINES}


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_another_engines_page_tells_nothing(engine: object) -> None:
    for name in ("vllm_load", "sglang", "trtllm", "triton"):
        loads = [read_load(page(name), other) for other in ENGINES.values()]
        assert sum(load != LoadSample() for load in loads) == 1


def test_the_old_name_of_vllms_cache_use_is_read_where_the_new_one_is_missing() -> None:
    old = b"vllm:gpu_cache_usage_perc 0.5\n"
    new = b"vllm:kv_cache_usage_perc 0.25\n"
    assert read_load(old, VLLM).kv_usage == 0.5
    assert read_load(old + new, VLLM).kv_usage == 0.25
    assert read_load(old + b"vllm:kv_cache_usage_perc NaN\n", VLLM).kv_usage == 0.5


@pytest.mark.parametrize(
    "line",
    [
        "vllm:num_requests_waiting -1",
        "vllm:num_requests_waiting 1e12",
        "vllm:num_requests_waiting NaN",
        "vllm:num_requests_running -3.0",
        "vllm:kv_cache_usage_perc 57.0",
        "vllm:kv_cache_usage_perc -0.1",
        'vllm:cache_config_info{block_size="None",num_gpu_blocks="-4"} 1.0',
        'vllm:cache_config_info{block_size="0",num_gpu_blocks=""} 1.0',
        "vllm:cache_config_info 1.0",
        'vllm:num_requests_waiting{engine="0"} 4',  # no line feed: cut off
    ],
)
def test_what_cannot_be_believed_was_not_said(line: str) -> None:
    end = "" if line.endswith(" 4") else "\n"
    assert read_load((line + end).encode(), VLLM) == LoadSample()


# Adapters -------------------------------------------------------------------------------------------------


def lora(*samples: tuple[str, str, float | str]) -> LoadSample:
    lines = [
        f'vllm:lora_requests_info{{max_lora="4",running_lora_adapters="{running}",'
        f'waiting_lora_adapters="{waiting}"}} {value}\n'
        for running, waiting, value in samples
    ]
    return read_load("".join(lines).encode(), VLLM)


@pytest.mark.parametrize(
    ("samples", "adapters"),
    [
        ([("a", "a", 1.0)], {"a"}),
        ([("a", "", 1.0)], {"a"}),
        ([("", "a", 1.0)], {"a"}),
        ([("a,b", "b,c", 1.0)], {"a", "b", "c"}),
        ([(" a , b ", "", 1.0)], {"a", "b"}),
        ([(",,", ",", 1.0)], set()),
        ([("a,b", "a,b", 1.0), ("b", "b", 3.0), ("b,a", "b,a", 2.0)], {"b"}),
        ([("a", "a", 1.79e9), ("", "", 1.8e9)], set()),
        ([("a", "a", 1.0), ("b", "b", "NaN")], {"a"}),
    ],
)
def test_the_sample_with_the_largest_value_names_the_adapters(
    samples: list[tuple[str, str, float | str]], adapters: set[str]
) -> None:
    load = lora(*samples)
    assert load.adapters == adapters
    assert load.max_lora == 4


def test_no_adapters_named_is_not_no_word_of_adapters() -> None:
    assert lora(("", "", 1.0)).adapters == frozenset()
    assert lora().adapters is None


# The v1.0.1 flags -----------------------------------------------------------------------------------------


def test_flags_name_other_metrics() -> None:
    engine = override(
        VLLM,
        queue='"nv_trt_llm_request_metrics{request_type=waiting}"',
        running="nv_trt_llm_request_metrics{request_type=scheduled}",
        kv="nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}",
        lora="",
        cache_info="my_cache",
    )
    load = read_load(page("triton") + b'my_cache{block_size="16",num_gpu_blocks="99"} 1\n', engine)
    assert load == LoadSample(6, 9, 0.125, 16, 99)


def test_a_flag_that_is_not_given_changes_nothing() -> None:
    assert override(VLLM) == VLLM
    assert override(VLLM, lora="") != VLLM


@pytest.mark.parametrize("empty", ["", " ", '""'])
def test_an_empty_flag_reads_nothing(empty: str) -> None:
    engine = override(VLLM, queue=empty, running=empty, kv=empty, lora=empty, cache_info=empty)
    assert read_load(page("vllm_load"), engine) == LoadSample()


def test_a_flag_that_is_no_selector_is_an_error() -> None:
    with pytest.raises(ValueError, match="metric name"):
        override(VLLM, queue="{}")


# Any bytes ------------------------------------------------------------------------------------------------

NAMES = [b"vllm:num_requests_waiting", b"vllm:lora_requests_info", b"vllm:cache_config_info"]
REST = [b"{", b"}", b'block_size="', b'max_lora="', b'"', b",", b" ", b"\n", b"-1", b"1e9", b"\xff", b"\\"]


@given(st.lists(st.sampled_from(NAMES + REST)).map(b"".join) | st.binary())
def test_no_page_raises(data: bytes) -> None:
    for engine in ENGINES.values():
        load = read_load(data, engine)
        assert load.waiting is None or load.waiting >= 0
        assert load.kv_usage is None or 0 <= load.kv_usage <= 1
