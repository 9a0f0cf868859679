"""The knees of policies as tables, and as data for the JSON file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from math import nan
from typing import Any, TypeVar

from epp.simulate.columns import Better, Column, Table, percent
from epp.simulate.knee import Knee
from epp.simulate.measures import Measures

T = TypeVar("T")


def knee_tables(knees: Mapping[str, Knee], share: float) -> list[Table[Any]]:
    """The knee of each policy, and every rate that was tried."""
    rate: Column[Knee] = Column(
        "",
        "req/s",
        "the highest rate of arrivals at which enough requests are in SLO",
        lambda knee: nan if knee.rate is None else knee.rate,
        lambda value: f"{value:g}",
        Better.HIGHER,
    )
    return [
        Table(
            f"Knee: the highest rate with {percent(share)} of all requests in SLO",
            ("policy",),
            # Each policy is at a rate of its own: what comes with it says nothing of which is better.
            (rate, *(replace(each, better=Better.NEITHER) for each in columns(_at_knee))),
            {(name,): knee for name, knee in knees.items()},
        ),
        Table(
            "Rates tried",
            ("policy", "req/s"),
            columns(lambda probe: probe.measures),
            {(name, f"{probe.rate:g}"): probe for name, knee in knees.items() for probe in knee.probes},
        ),
    ]


def _at_knee(knee: Knee) -> Measures:
    return knee.run.measures


def knee_data(knees: Mapping[str, Knee], share: float) -> dict[str, Any]:
    """By policy; `rate` is None where no rate keeps the SLO."""
    return {
        "share": share,
        "policies": {
            name: {"rate": knee.rate, "probes": [asdict(probe) for probe in knee.probes]}
            for name, knee in knees.items()
        },
    }


def columns(measures: Callable[[T], Measures]) -> tuple[Column[T], ...]:
    """What a search goes by, for rows that have measures."""

    def column(
        name: str, value: Callable[[Measures], float], show: Callable[[float], str], better: Better
    ) -> Column[T]:
        return Column("", name, "", lambda row: value(measures(row)), show, better)

    return (
        column("in SLO", lambda m: m.in_slo, percent, Better.HIGHER),
        column("good/s", lambda m: m.goodput, lambda value: f"{value:.2f}", Better.HIGHER),
        column("TTFT p90, ms", lambda m: m.ttft["p90"], lambda value: f"{1000 * value:.0f}", Better.LOWER),
        column("TPOT p90, ms", lambda m: m.tpot["p90"], lambda value: f"{1000 * value:.1f}", Better.LOWER),
        column("hits", lambda m: m.prefix_hit_rate, percent, Better.HIGHER),
    )
