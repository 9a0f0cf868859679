"""What a sweep found, the best first: as a table, and as data for the JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from epp.config.effective import effective_config
from epp.config.picker_config import PickerConfig
from epp.simulate.columns import Table
from epp.simulate.knee_report import columns
from epp.simulate.measures import Measures
from epp.simulate.sweep import Sweep

# Rows that people read; the base is shown wherever it stands, and the JSON file has all.
_SHOWN = 15


class Result(NamedTuple):
    """One configuration of a sweep and what came of it. `place` from 1, the best."""

    place: int
    config: PickerConfig
    measures: Measures


def ranked(sweep: Sweep, measures: Sequence[Measures]) -> list[Result]:
    """The best first; `measures` of the base and then of the variants. Among equals the order is kept."""
    tried = zip((sweep.base, *sweep.variants), measures, strict=True)
    in_order = sorted(tried, key=lambda each: sweep.rank(each[1]))
    return [Result(place, config, each) for place, (config, each) in enumerate(in_order, start=1)]


def sweep_table(sweep: Sweep, results: Sequence[Result]) -> Table[Result]:
    """The first of them and the base."""
    shown = [each for each in results if each.place <= _SHOWN or each.config is sweep.base]
    return Table(
        f"Sweep of {sweep.base_name}: the best of {len(results)} by {sweep.objective}",
        ("place", *(str(axis.what) for axis in sweep.axes)),
        columns(lambda result: result.measures),
        {(_place(sweep, each), *(value for _, value in sweep.settings(each.config))): each for each in shown},
    )


def sweep_data(sweep: Sweep, results: Sequence[Result]) -> dict[str, Any]:
    """Every configuration tried, the best first, and the winner as a file."""
    return {
        "base": sweep.base_name,
        "objective": sweep.objective,
        "winner": effective_config(results[0].config),
        "results": [
            {
                "place": each.place,
                "base": each.config is sweep.base,
                "settings": dict(sweep.settings(each.config)),
                "measures": asdict(each.measures),
            }
            for each in results
        ],
    }


def _place(sweep: Sweep, result: Result) -> str:
    return f"{result.place} base" if result.config is sweep.base else str(result.place)
