"""The tables of benchmarks/policies.py, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

# Measures by workload, load (per cent of the knee) and policy.
Means = Mapping[tuple[str, int, str], Mapping[str, Any]]

# Whom the default is compared with: the policies that the reference and llm-d ship.
REFERENCES = ("reference-1.0", "reference", "llm-d", "sticky-until-saturated")

_COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "in SLO": lambda m: f"{m['in_slo']:.1%}",
    "good/s": lambda m: f"{m['goodput']:.2f}",
    "TTFT p50": lambda m: _ms(m["ttft"]["p50"]),
    "TTFT p90": lambda m: _ms(m["ttft"]["p90"]),
    "TTFT p99": lambda m: _ms(m["ttft"]["p99"]),
    "TPOT p50": lambda m: f"{1000 * m['tpot']['p50']:.1f}",
    "TPOT p90": lambda m: f"{1000 * m['tpot']['p90']:.1f}",
    "hits": lambda m: f"{m['prefix_hit_rate']:.1%}",
    "ideal": lambda m: f"{m['ideal_hit_rate']:.1%}",
    "imbalance": lambda m: f"{m['imbalance']:.2f}",
    "preempted": lambda m: f"{m['preemptions']:.0f}",
    "loads": lambda m: f"{m['adapter_loads']:.0f}",
    "shed": lambda m: f"{sum(m['shed'].values()):.0f}",
}

_SUMMARY = ("workload", "load", "TTFT p90", "of the best", "", "good/s", "of the best", "", "oracle")


def mean(several: Sequence[Any]) -> Any:
    """Of numbers, or of maps of them key by key, where a key that is not there counts as 0."""
    if not any(isinstance(each, dict) for each in several):
        return fmean(several)
    keys = dict.fromkeys(key for each in several for key in each or ())
    return {key: mean([each.get(key, 0) if each else 0 for each in several]) for key in keys}


def markdown(means: Means, rates: Mapping[tuple[str, int], float], texts: Mapping[str, str]) -> str:
    """The default against the best of the reference's policies, then a table for each workload and load.

    `rates` in requests a second, by workload and load; `texts` say what a workload is. Times in ms.
    """
    sections = [_summary(means, list(rates)), _tables(means, rates, texts)]
    return "\n".join(line for section in sections for line in section)


def _summary(means: Means, cells: Sequence[tuple[str, int]]) -> Iterator[str]:
    yield f"## The default against the best of {', '.join(REFERENCES)}\n"
    yield from _table(_SUMMARY, (_summary_row(means, *cell) for cell in cells))


def _summary_row(means: Means, workload: str, load: int) -> list[str]:
    def ttft(policy: str) -> float:
        return float(means[workload, load, policy]["ttft"]["p90"])

    def goodput(policy: str) -> float:
        return float(means[workload, load, policy]["goodput"])

    soonest, most = min(map(ttft, REFERENCES)), max(map(goodput, REFERENCES))
    return [
        workload,
        f"{load} %",
        *(_ms(ttft("default")), _ms(soonest), f"{ttft('default') / soonest - 1:+.1%}"),
        *(f"{goodput('default'):.2f}", f"{most:.2f}", f"{goodput('default') / most - 1:+.1%}"),
        f"{_ms(ttft('oracle'))}, {goodput('oracle'):.2f}",
    ]


def _tables(means: Means, rates: Mapping[tuple[str, int], float], texts: Mapping[str, str]) -> Iterator[str]:
    for workload, text in texts.items():
        yield f"## {workload}\n\n{text}.\n"
        for load in (load for name, load in rates if name == workload):
            yield f"### {load} % of the knee: {rates[workload, load]:g} requests a second\n"
            policies = [policy for name, each, policy in means if (name, each) == (workload, load)]
            rows = (
                [name, *(show(means[workload, load, name]) for show in _COLUMNS.values())]
                for name in policies
            )
            yield from _table(("policy", *_COLUMNS), rows)


def _table(heads: Sequence[str], rows: Iterator[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join(['---', *('---:' for _ in heads[1:])])}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f}"
