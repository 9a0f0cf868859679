"""One page with all of a report: tables and plots, in a single file without scripts, fonts or links.

Importing this imports matplotlib, which is there with the extra `simulate`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, get_type_hints
from xml.etree.ElementTree import Element, tostring

from epp.config.flag_values import kind_of
from epp.errors import ConfigError, Fault
from epp.simulate.charts import MOST_LINES, Chart, engine_charts, latency_charts, pool_charts
from epp.simulate.columns import BOUNDS, HEADLINES, UNKNOWN, Column, Table, ranking, tables
from epp.simulate.elements import element, table_element
from epp.simulate.measures import Measures, Run
from epp.simulate.plots import draw, look_dashes
from epp.simulate.report import slo_text
from epp.simulate.settings import SimulateSettings
from epp.simulate.svg import look_colour

T = TypeVar("T")

_COMPARED = "The best of each column is marked. Another --seed shows how much of a difference is chance."
_AT_KNEE = "Each policy at its own knee, so under another load than the others."


def write_page(
    path: Path,
    settings: Mapping[str, Any],
    runs: Mapping[str, Run],
    found: Sequence[Table[Any]] = (),
    charts: Sequence[Chart] = (),
) -> None:
    """Writes the page of `runs` to `path`, with the tables (`found`) and charts of a search if there was one.

    `settings` are those of SimulateSettings, by name. ConfigError if the file cannot be written.
    """
    page = (
        "<!DOCTYPE html>\n"
        + tostring(_page(settings, runs, found, charts), encoding="unicode", method="html")
        + "\n"
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError([Fault(str(path), 0, "", f"cannot be written: {error.strerror}")]) from error


def _page(
    settings: Mapping[str, Any], runs: Mapping[str, Run], found: Sequence[Table[Any]], charts: Sequence[Chart]
) -> Element:
    title = f"{settings.get('workload', 'A workload')} under {_several(len(runs), 'policy', 'policies')}"
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} - epp simulate"),
        element("style", style),
    )
    measures = {name: run.measures for name, run in runs.items()}
    at_knee = bool(settings.get("find_knee"))
    ids = (f"chart-{number}" for number in count())
    body = element(
        "body",
        element("h1", title),
        element("p", _about(runs)),
        element("pre", element("code", _command(settings))),
        element("ul", *_cards(measures, found, at_knee), class_="cards"),
        element(
            "main",
            *_search(runs, found, charts, ids),
            *_numbers(measures, at_knee),
            *_plots(runs, ids),
            *_settings(settings),
        ),
    )
    return element("html", head, body, lang="en")


def _about(runs: Mapping[str, Run]) -> str:
    some = next(iter(runs.values()))
    engines = _several(len(some.outcome.timeline.servers), "engine", "engines")
    requests = _several(some.measures.requests, "request", "requests")
    slo = slo_text(some.measures.slo)
    return f"{requests} on {engines}, in virtual time. A good answer keeps the SLO: {slo}."


def _cards(runs: Mapping[str, Measures], found: Sequence[Table[Any]], at_knee: bool) -> list[Element]:
    """For each of the first numbers who is best, and who is next; of policies at their knees, the rate."""
    if not at_knee:
        return [_card(column.heading, column, runs) for column in HEADLINES]
    knees, *_ = found
    rate, *_ = knees.columns
    return [_card("knee, req/s", rate, {name: knee for (name,), knee in knees.rows.items()})]


def _card(heading: str, column: Column[T], rows: Mapping[str, T]) -> Element:
    cells = {name: column.cell(rows[name]) for name in ranking(column, rows)}
    first = next(iter(cells.values()), UNKNOWN)
    best = [name for name, cell in cells.items() if cell == first]
    following = [f"{name} {cell}" for name, cell in cells.items() if cell != first]
    return element(
        "li",
        element("span", heading, class_="what"),
        element("span", first, class_="number"),
        element("span", ", ".join(best) if following or len(best) < 2 else "all alike", class_="who"),
        element("span", f"next: {following[0]}" if following else None, class_="next"),
    )


def _search(
    runs: Mapping[str, Run], found: Sequence[Table[Any]], charts: Sequence[Chart], ids: Iterator[str]
) -> list[Element]:
    """What was searched for; the runs that follow are those of the search's end."""
    if not found:
        return []
    mark = _marks(runs)
    first, *others = (table_element(table, mark) for table in found)
    plots = [_legend(_looks(runs)), _figures(charts, ids)] if charts else []
    folded = (
        element("details", element("summary", table.title), made)
        for table, made in zip(found[1:], others, strict=True)
    )
    return [element("h2", "The search"), first, *plots, *folded]


def _numbers(runs: Mapping[str, Measures], at_knee: bool) -> list[Element]:
    shown = tables(runs)
    said = _AT_KNEE if at_knee else _COMPARED
    said += "".join(
        f" {name} knows what no picker can, and is not ranked." for name in runs if name in BOUNDS
    )
    meanings = {
        column.group or column.name: column.meaning
        for table in shown
        for column in table.columns
        if column.meaning
    }
    return [
        element("h2", "Numbers"),
        element("p", said),
        *(table_element(table, _marks(runs), compared=not at_knee) for table in shown),
        _unfolding("What the columns mean", meanings),
    ]


def _plots(runs: Mapping[str, Run], ids: Iterator[str]) -> list[Element]:
    looks = _looks(runs)
    servers = next(iter(runs.values())).outcome.timeline.servers
    each = (
        _legend({server: look for look, server in enumerate(servers)})
        if len(servers) <= MOST_LINES
        else element("p", "The line is the median engine, the band reaches from the emptiest to the fullest.")
    )
    return [
        element("h2", "Latency"),
        element(
            "p",
            "The share of requests that had so much of their answer within a time. Requests that were "
            "refused never had it: the line of a policy that refuses ends below 100 %.",
        ),
        _legend(looks),
        _figures(latency_charts(runs), ids),
        element("h2", "The pool over time"),
        element("p", "Averages of short intervals."),
        _legend(looks),
        _figures(pool_charts(runs), ids),
        element("h2", "Each engine over time"),
        element("p", "Requests running and waiting, with the same axes for all policies."),
        each,
        _figures(engine_charts(runs), ids),
    ]


def _settings(settings: Mapping[str, Any]) -> list[Element]:
    shown = {name: " ".join(value) for (name, *value), _ in _flags(settings)}
    return [element("h2", "Settings"), _unfolding("All of them", shown)]


def _command(settings: Mapping[str, Any]) -> str:
    """The command line that these settings come of."""
    words = (shlex.join(words) for words, is_default in _flags(settings) if not is_default)
    return " ".join(["epp simulate", *words])


def _flags(settings: Mapping[str, Any]) -> Iterator[tuple[list[str], bool]]:
    """Each flag with its value, as words of a command, and whether it is as without it."""
    hints = get_type_hints(SimulateSettings)
    for each in fields(SimulateSettings):
        value = settings.get(each.name, each.default)
        name = "--" + (each.metadata["name"] or each.name.replace("_", "-"))
        kind = kind_of(hints[each.name])
        text = "" if value is None else kind.show(value)
        yield [name] if kind.bare and value else [name, text], value == each.default


def _figures(charts: Iterable[Chart], ids: Iterator[str]) -> Element:
    drawn = (
        element("figure", element("figcaption", chart.title), draw(chart, name))
        for chart, name in zip(charts, ids, strict=False)
    )
    return element("div", *drawn, class_="charts")


def _legend(looks: Mapping[str, int]) -> Element:
    return element("ul", *(element("li", _mark(look), name) for name, look in looks.items()), class_="legend")


def _looks(names: Iterable[str]) -> dict[str, int]:
    """Those of the policies, as their charts have them."""
    return dict(zip(names, count()))


def _marks(names: Iterable[str]) -> Callable[[str], Element | None]:
    """What stands before the name of a policy."""
    looks = _looks(names)
    return lambda name: _mark(looks[name]) if name in looks else None


def _mark(look: int) -> Element:
    """A piece of the line that has this look."""
    width = 2.0
    dashes = " ".join(f"{width * length:g}" for length in look_dashes(look)) or "none"
    style = f"stroke: {look_colour(look)}; stroke-width: {width:g}; stroke-dasharray: {dashes}"
    line = element("line", x1="0", x2="30", y1="5", y2="5", style=style)
    return element("svg", line, viewBox="0 0 30 10", class_="mark", aria_hidden="true")


def _unfolding(title: str, items: Mapping[str, str]) -> Element:
    pairs = (each for name, text in items.items() for each in (element("dt", name), element("dd", text)))
    return element("details", element("summary", title), element("dl", *pairs))


def _several(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"
