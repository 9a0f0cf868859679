"""Reads the load that rides on an answer: the response header `endpoint-load-metrics`.

A server that was asked with `endpoint-load-metrics-format: TEXT` (or JSON) answers with one of

    TEXT named_metrics.num_requests_waiting=0.0, named_metrics.kv_cache_usage_perc=0.0
    JSON {"named_metrics": {"num_requests_waiting": 0.0, "kv_cache_usage_perc": 0.0}}

as vLLM does, with these two metrics and no others. The form is ORCA's (Open Request Cost Aggregation); its
general fields (cpu_utilization, application_utilization, ...) say nothing that the picker uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec

from epp.scrape.values import count, fraction, number
from epp.types import LoadSample

REQUEST_HEADER: Final = "endpoint-load-metrics-format"
RESPONSE_HEADER: Final = "endpoint-load-metrics"

# vLLM's header has 82 characters; this leaves room for other metrics beside, and bounds the work.
MAX_LENGTH = 4096

# Texts that are remembered: servers say the same again and again, and reading one anew takes 5 us.
REMEMBERED = 1024

_PREFIX = "named_metrics."
_json = msgspec.json.Decoder(dict[str, Any])


def parse_load_header(value: str) -> LoadSample | None:
    """The load that the header `value` tells; None if it tells none that can be read. Never raises."""
    return _parse(value[:MAX_LENGTH])


@lru_cache(maxsize=REMEMBERED)
def _parse(value: str) -> LoadSample | None:
    form, _, report = value.strip().partition(" ")
    match form.upper():
        case "TEXT":
            metrics = dict(_from_text(report))
        case "JSON":
            metrics = dict(_from_json(report))
        case _:
            return None
    waiting = count(metrics.get("num_requests_waiting"))
    kv_usage = fraction(metrics.get("kv_cache_usage_perc"))
    return None if waiting is None and kv_usage is None else LoadSample(waiting=waiting, kv_usage=kv_usage)


def _from_text(report: str) -> Iterator[tuple[str, float | None]]:
    for item in report.split(","):
        key, _, text = item.partition("=")
        yield key.strip().removeprefix(_PREFIX), number(text)


def _from_json(report: str) -> Iterator[tuple[str, float | None]]:
    try:
        fields = _json.decode(report)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return
    named = fields.get("named_metrics")
    for key, value in (named if isinstance(named, dict) else fields).items():
        if type(value) in (int, float):
            yield key.removeprefix(_PREFIX), value
