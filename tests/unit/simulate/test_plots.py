"""Charts as SVG of a page: its colours, its ids, few bytes, and nothing from elsewhere."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

import numpy as np
import pytest

from epp.simulate.charts import (
    MOST_LINES,
    Axis,
    Band,
    Chart,
    Limit,
    Line,
    Scale,
    engine_charts,
    latency_charts,
    pool_charts,
)
from epp.simulate.plots import draw, look_dashes
from epp.simulate.svg import LOOKS, look_colour
from tests.simulated_runs import run

X = np.linspace(1.0, 3.0, 50)


def chart(x: Axis, *lines: Line, dots: bool = False) -> Chart:
    y = Axis("height", limit=Limit("enough", 2.0))
    return Chart("Some <title>", "It rises & falls.", x, y, lines, dots=dots)


RISING = chart(Axis("when", limit=Limit("soon", 2.0)), Line("a < b", X, X, 0), Line("other", X, 2 * X, 1))


def titles(svg: Element) -> list[str | None]:
    return [each.text for each in svg.iter("title")]


def labels(svg: Element) -> list[str]:
    return [each.text or "" for each in svg.iter("text")]


def test_it_says_what_it_shows() -> None:
    svg = draw(RISING, "one")
    assert svg.tag == "svg"
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "Some <title>: It rises & falls."
    assert titles(svg) == ["a < b", "other"]
    assert {"when", "height", "soon", "enough"} <= set(labels(svg))


def test_colours_are_those_of_the_page() -> None:
    text = tostring(draw(RISING, "one"), encoding="unicode")
    assert "#0" not in text.replace("#one-", "")
    for colour in ("currentColor", "var(--grid)", "var(--limit)", look_colour(0), look_colour(1)):
        assert f": {colour}" in text


def test_ids_are_its_own_and_references_are_met() -> None:
    svg = draw(RISING, "one")
    ids = {each.get("id") for each in svg.iter()} - {None}
    assert ids
    assert all(each and each.startswith("one-") for each in ids)
    values = [value for each in svg.iter() for value in each.attrib.values()]
    asked = {value.partition("#")[2].rstrip(")") for value in values if "#" in value}
    assert asked <= ids
    assert not any("http" in value for value in values)


def test_equal_charts_are_equal() -> None:
    assert tostring(draw(RISING, "one")) == tostring(draw(RISING, "one"))


def test_plots_are_small() -> None:
    runs = {f"policy-{number}": run(ttft=0.1 * number, requests=5000, engines=16) for number in range(1, 9)}
    for each in (latency_charts(runs)[0], pool_charts(runs)[0], engine_charts(runs)[0]):
        assert len(tostring(draw(each, "one"))) < 60_000


@pytest.mark.parametrize(
    ("end", "label", "some"),
    [(100.0, "when, seconds", "80"), (1000.0, "when, minutes", "15"), (4 * 3600.0, "when, hours", "3")],
)
def test_a_clock_has_the_unit_of_its_length(end: float, label: str, some: str) -> None:
    found = labels(draw(chart(Axis("when", Scale.CLOCK, high=end), Line("a", end * X / 3, X, 0)), "one"))
    assert label in found
    assert some in found


@pytest.mark.parametrize(
    ("low", "high", "some"),
    [
        (1e-3, 100.0, {"1ms", "10ms", "1s"}),
        (0.01, 3.0, {"10ms", "30ms", "3s"}),
        (0.1, 2.0, {"200ms", "500ms", "2s"}),
    ],
)
def test_times_have_ticks_in_their_own_units(low: float, high: float, some: set[str]) -> None:
    times = np.geomspace(low, high, 50)
    assert some <= set(labels(draw(chart(Axis("time", Scale.TIMES, None), Line("a", times, X, 0)), "one")))


def test_shares_are_per_cent() -> None:
    share = Axis("of all", Scale.SHARES, high=1.0)
    svg = draw(Chart("t", "", Axis("when"), share, (Line("a", X, X / 3, 0),)), "one")
    assert {"0%", "20%", "100%"} <= set(labels(svg))


def test_bands_and_empty_lines_are_drawn() -> None:
    band = Band("between", X, X - 1, X + 1, 3)
    svg = draw(Chart("t", "", Axis("when"), Axis("height"), (Line("none", X[:0], X[:0], 0),), (band,)), "one")
    assert titles(svg) == ["between", "none"]
    assert draw(chart(Axis("time", Scale.TIMES, None)), "one").tag == "svg"


def test_points_can_be_marked() -> None:
    few = Line("a", X[:3], X[:3], 0)
    plain, dotted = (
        len(list(draw(chart(Axis("when"), few, dots=dots), "one").iter("use"))) for dots in (False, True)
    )
    assert dotted == plain + 3


def test_as_many_looks_as_there_are_lines() -> None:
    assert len({(look_colour(look), look_dashes(look)) for look in range(MOST_LINES)}) == MOST_LINES
    assert len({look_colour(look) for look in range(LOOKS)}) == LOOKS
    assert look_dashes(0) == ()
