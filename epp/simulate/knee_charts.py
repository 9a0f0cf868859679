"""What a search for knees saw on its way, as charts: how policies get worse as the rate of arrivals grows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from epp.simulate.charts import Axis, Chart, Limit, Line, Scale, format_seconds, listed
from epp.simulate.columns import percent
from epp.simulate.knee import Knee
from epp.simulate.measures import Measures

_RATE = Axis("arrivals a second", low=None)


def knee_charts(knees: Mapping[str, Knee], share: float) -> list[Chart]:
    """By rate of arrivals: requests in SLO, of which `share` are asked for, good answers, and p90 TTFT."""
    slo = next(iter(knees.values())).run.measures.slo
    found = {name: knee.rate for name, knee in knees.items() if knee.rate is not None}
    text = f"By rate of arrivals. Knees: {listed(found, lambda rate: f'{rate:g} a second')}."

    def chart(title: str, y: Axis, value: Callable[[Measures], float]) -> Chart:
        lines = (
            Line(
                name,
                np.array([probe.rate for probe in knee.probes], np.float64),
                np.array([value(probe.measures) for probe in knee.probes], np.float64),
                look,
            )
            for look, (name, knee) in enumerate(knees.items())
        )
        return Chart(title, text, _RATE, y, tuple(lines), dots=True)

    asked = Limit(f"{percent(share)} asked", share)
    ttft = Limit(f"SLO {format_seconds(slo.ttft)}", slo.ttft)
    return [
        chart("In SLO", Axis("of all requests", Scale.SHARES, high=1.0, limit=asked), lambda m: m.in_slo),
        chart("Good answers", Axis("a second"), lambda m: m.goodput),
        chart(
            "p90 of the time to first token", Axis("", Scale.TIMES, None, limit=ttft), lambda m: m.ttft["p90"]
        ),
    ]
