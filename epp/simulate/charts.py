"""What the plots of a report show, as lines of a few hundred points; `epp.simulate.plots` draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epp.config.durations import format_duration
from epp.simulate.columns import percent
from epp.simulate.measures import Answers, Floats, Run, answers, imbalance, in_flight
from epp.simulate.timeline import Timeline

# Points of a distribution's line, and of an engine's over time: about one for each pixel of a small plot.
_POINTS = 250

# Intervals that a run is cut into where policies are compared over time: so few that lines can be told apart.
_INTERVALS = 60

# Per cent of a line that fit into its plot: a moment of much more would make all else flat.
_SHOWN = 97

# Of more engines than this a band is shown.
MOST_LINES = 16


class Line(NamedTuple):
    """`look` numbers colour and dashes, which mean one policy, or one engine, all over a page."""

    name: str
    x: Floats
    y: Floats
    look: int


class Band(NamedTuple):
    """What lies between two lines over the same `x`."""

    name: str
    x: Floats
    low: Floats
    high: Floats
    look: int


class Scale(Enum):
    """What an axis counts."""

    NUMBERS = auto()
    SHARES = auto()  # 0 to 1
    CLOCK = auto()  # seconds since the start
    TIMES = auto()  # seconds of very different sizes: logarithmic


class Limit(NamedTuple):
    """A value of an axis to be marked."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Axis:
    """`low` and `high` None: what the lines need."""

    label: str
    scale: Scale = Scale.NUMBERS
    low: float | None = 0.0
    high: float | None = None
    limit: Limit | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """One plot. `text` says what it shows without being seen; with `dots` each point of a line is marked."""

    title: str
    text: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    bands: tuple[Band, ...] = ()
    dots: bool = False


def latency_charts(runs: Mapping[str, Run]) -> list[Chart]:
    """How the times of answers are distributed: a line for each policy."""
    served = {name: answers(run.outcome.done) for name, run in runs.items()}
    slo = next(iter(runs.values())).measures.slo

    def chart(title: str, label: str, of: Callable[[Answers], Floats], limit: float | None = None) -> Chart:
        seconds = {name: of(each) for name, each in served.items()}
        p90 = {name: float(np.percentile(each, 90)) for name, each in seconds.items() if len(each)}
        # Those without an answer have waited for ever, but of answers with one token no TPOT is known.
        without = {name: run.measures.requests - run.measures.done for name, run in runs.items()}
        lines = tuple(
            Line(name, *_cumulated(each, len(each) + without[name]), look)
            for look, (name, each) in enumerate(seconds.items())
        )
        text = f"Share of requests over {title.lower()}. p90 of the answers: {listed(p90, format_seconds)}."
        x = Axis(
            label,
            Scale.TIMES,
            None,
            limit=None if limit is None else Limit(f"SLO {format_seconds(limit)}", limit),
        )
        return Chart(title, text, x, _SHARE_OF_REQUESTS, lines)

    return [
        chart("Time to first token", "from arrival", lambda a: a.ttft, slo.ttft),
        chart("Time per output token", "mean of an answer", lambda a: a.tpot[~np.isnan(a.tpot)], slo.tpot),
        chart("Time to last token", "from arrival", lambda a: a.latency),
    ]


def pool_charts(runs: Mapping[str, Run]) -> list[Chart]:
    """The pool over time: a line for each policy, averages of short intervals."""
    end = _end(runs)

    def chart(title: str, y: Axis, of: Callable[[Run], Floats]) -> Chart:
        lines = tuple(
            _known(Line(name, _middles(run.outcome.timeline), of(run), look))
            for look, (name, run) in enumerate(runs.items())
        )
        known = {line.name: line.y for line in lines if len(line.y)}
        if y.scale is Scale.NUMBERS:
            y = replace(y, high=max((np.percentile(each, _SHOWN) for each in known.values()), default=None))
        middle = {name: float(np.median(each)) for name, each in known.items()}
        text = f"{title} over time, {y.label}. Median: {listed(middle, _SHOW[y.scale])}."
        return Chart(title, text, Axis("time", Scale.CLOCK, high=end), y, lines)

    return [
        chart("Good answers", Axis("of requests by arrival", Scale.SHARES, high=1.0), _good_shares),
        chart("Requests running", Axis("on all engines"), lambda run: _means(run, "running").sum(axis=1)),
        chart("Requests waiting", Axis("on all engines"), lambda run: _means(run, "waiting").sum(axis=1)),
        chart("Imbalance", Axis("fullest engine against the mean", low=1.0), _imbalances),
        chart("Prefix hits", Axis("of prompt tokens", Scale.SHARES, high=1.0), _hit_rates),
        chart(
            "KV cache in use",
            Axis("of the fullest engine", Scale.SHARES, high=1.0),
            lambda run: _means(run, "kv_usage").max(axis=1, initial=0.0),
        ),
    ]


def engine_charts(runs: Mapping[str, Run]) -> list[Chart]:
    """The requests on each engine over time: a chart for each policy, all with the same axes."""
    loads = {name: _thinned(run.outcome.timeline) for name, run in runs.items()}
    x = Axis("time", Scale.CLOCK, high=_end(runs))
    y = Axis(
        "running and waiting", high=max((load.max() for _, load in loads.values() if load.size), default=0.0)
    )
    return [
        _engine_chart(name, *loads[name], run.outcome.timeline.servers, look, x, y)
        for look, (name, run) in enumerate(runs.items())
    ]


def listed(values: Mapping[str, float], show: Callable[[float], str]) -> str:
    """Names with their values, for a chart's text."""
    return ", ".join(f"{name} {show(value)}" for name, value in values.items()) or "none"


def format_seconds(seconds: float) -> str:
    """With three digits and a unit."""
    return format_duration(float(f"{seconds:.3g}"))


_SHOW: Mapping[Scale, Callable[[float], str]] = {Scale.SHARES: percent, Scale.NUMBERS: "{:.3g}".format}

_SHARE_OF_REQUESTS = Axis("of all requests", Scale.SHARES, high=1.0)


def _engine_chart(
    policy: str, times: Floats, load: Floats, servers: tuple[str, ...], look: int, x: Axis, y: Axis
) -> Chart:
    mean, most = (load.mean(), load.max()) if load.size else (0.0, 0.0)
    text = f"Requests on each engine over time under {policy}: {mean:.1f} on average, at most {most:.0f}."
    if len(servers) <= MOST_LINES:
        each = enumerate(servers)
        return Chart(policy, text, x, y, tuple(Line(name, times, load[:, n], n) for n, name in each))
    median = Line("median engine", times, np.median(load, axis=1), look)
    band = Band("from the emptiest to the fullest engine", times, load.min(axis=1), load.max(axis=1), look)
    return Chart(policy, text, x, y, (median,), (band,))


def _cumulated(values: Floats, of: int) -> tuple[Floats, Floats]:
    """x, and the share of `of` things that are not above x."""
    if not len(values):
        return np.empty(0), np.empty(0)
    ranks = np.unique(np.linspace(0, len(values) - 1, _POINTS).round().astype(np.int64))
    return np.sort(values)[ranks], (ranks + 1) / of


def _thinned(timeline: Timeline) -> tuple[Floats, Floats]:
    """Times, and the requests of each engine: every so many samples one, as the timeline itself thins out."""
    every = slice(None, None, -(-len(timeline.times) // _POINTS) or 1)
    return timeline.times[every], in_flight(timeline)[every]


def _edges(timeline: Timeline) -> NDArray[np.int64]:
    """The samples between which the intervals lie: one more than intervals, and none of no samples."""
    samples = len(timeline.times)
    return np.unique(np.linspace(0, samples - 1, min(_INTERVALS + 1, samples)).round().astype(np.int64))


def _middles(timeline: Timeline) -> Floats:
    """The times of the intervals."""
    at = timeline.times[_edges(timeline)]
    return (at[:-1] + at[1:]) / 2


def _means(run: Run, name: str) -> Floats:
    """What the timeline calls so, of each engine, on average over each interval: (intervals, engines)."""
    values = getattr(run.outcome.timeline, name)
    means = [values[a:b].mean(axis=0) for a, b in pairwise(_edges(run.outcome.timeline))]
    return np.array(means, np.float64).reshape(len(means), values.shape[1])


def _good_shares(run: Run) -> Floats:
    """Of the requests that arrived in each interval, how many got an answer that kept the SLO."""
    outcome, edges = run.outcome, run.outcome.timeline.times[_edges(run.outcome.timeline)]
    arrived = np.array([done.arrived_at for done in outcome.done], np.float64)
    lost = np.array([each.at for each in (*outcome.refused, *outcome.impossible)], np.float64)
    good, _ = np.histogram(arrived[answers(outcome.done).good(run.measures.slo)], edges)
    every, _ = np.histogram(np.concatenate([arrived, lost]), edges)
    return _shares(good, every)


def _hit_rates(run: Run) -> Floats:
    timeline = run.outcome.timeline
    hits, queries = timeline.prefix_hits.sum(axis=1), timeline.prefix_queries.sum(axis=1)
    edges = _edges(timeline)
    return _shares(np.diff(hits[edges]), np.diff(queries[edges]))


def _imbalances(run: Run) -> Floats:
    """NaN once no more requests come: the last few on many engines cannot be balanced."""
    timeline, load = run.outcome.timeline, in_flight(run.outcome.timeline)
    last = max((done.arrived_at for done in run.outcome.done), default=0.0)
    each = (
        imbalance(load[a:b]) if timeline.times[a] <= last else np.nan for a, b in pairwise(_edges(timeline))
    )
    return np.fromiter(each, np.float64)


def _known(line: Line) -> Line:
    """`line` from one known value to the next."""
    known = ~np.isnan(line.y)
    return line._replace(x=line.x[known], y=line.y[known])


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    with np.errstate(invalid="ignore"):  # of nothing no share is known
        return part / whole


def _end(runs: Mapping[str, Run]) -> float:
    return max((run.outcome.ended_at for run in runs.values()), default=0.0)
