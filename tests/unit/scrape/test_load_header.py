from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.scrape.load_header import parse_load_header
from epp.types import LoadSample


@pytest.mark.parametrize(
    ("header", "load"),
    [
        (
            "TEXT named_metrics.num_requests_waiting=0.0, named_metrics.kv_cache_usage_perc=0.0",
            LoadSample(waiting=0, kv_usage=0.0),
        ),
        (
            "TEXT named_metrics.kv_cache_usage_perc=0.25,named_metrics.num_requests_waiting=3",
            LoadSample(waiting=3, kv_usage=0.25),
        ),
        (
            'JSON {"named_metrics": {"num_requests_waiting": 3.0, "kv_cache_usage_perc": 0.25}}',
            LoadSample(waiting=3, kv_usage=0.25),
        ),
        (
            'JSON {"named_metrics.num_requests_waiting": 3, "named_metrics.kv_cache_usage_perc": 0}',
            LoadSample(waiting=3, kv_usage=0.0),
        ),
        ("text named_metrics.num_requests_waiting=7", LoadSample(waiting=7)),
        ("  TEXT  named_metrics.num_requests_waiting = 7 ", LoadSample(waiting=7)),
        (
            "TEXT cpu_utilization=0.9, application_utilization=0.8, named_metrics.num_requests_waiting=1",
            LoadSample(waiting=1),
        ),
        (
            'JSON {"application_utilization": 0.8, "named_metrics": {"num_requests_waiting": 1}}',
            LoadSample(waiting=1),
        ),
        (
            "TEXT named_metrics.num_requests_waiting=NaN, named_metrics.kv_cache_usage_perc=0.5",
            LoadSample(kv_usage=0.5),
        ),
        (
            "TEXT named_metrics.num_requests_waiting=-1, named_metrics.kv_cache_usage_perc=0.5",
            LoadSample(kv_usage=0.5),
        ),
        (
            'JSON {"named_metrics": {"num_requests_waiting": "3", "kv_cache_usage_perc": 0.5}}',
            LoadSample(kv_usage=0.5),
        ),
        (
            'JSON {"named_metrics": {"num_requests_waiting": true, "kv_cache_usage_perc": 0.5}}',
            LoadSample(kv_usage=0.5),
        ),
    ],
)
def test_the_load_on_an_answer(header: str, load: LoadSample) -> None:
    assert parse_load_header(header) == load


@pytest.mark.parametrize(
    "header",
    [
        "",
        "TEXT",
        "JSON",
        "BIN CgQIAxAE",
        "named_metrics.num_requests_waiting=3",
        "TEXT application_utilization=0.5",
        "TEXT named_metrics.num_requests_waiting",
        "TEXT named_metrics.num_requests_waiting=many",
        "JSON [1, 2]",
        "JSON null",
        "JSON {",
        'JSON {"named_metrics": []}',
        'JSON {"named_metrics": {"num_requests_waiting": null}}',
        'JSON {"named_metrics": {"num_requests_waiting": ' + "9" * 400 + "}}",
        "JSON " + "[" * 4000,
        "JSON " + '{"a":' * 800,
        "TEXT " + "x" * 4096 + ", named_metrics.num_requests_waiting=3",
        "JSON \ud800",
    ],
)
def test_what_tells_no_load(header: str) -> None:
    assert parse_load_header(header) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["named_metrics", "num_requests_waiting"]), inner)
    ),
)


@given(st.text() | st.text().map("TEXT ".__add__) | JSON.map(lambda value: "JSON " + json.dumps(value)))
def test_no_header_raises(header: str) -> None:
    load = parse_load_header(header)
    assert load is None or load.waiting is None or load.waiting >= 0
