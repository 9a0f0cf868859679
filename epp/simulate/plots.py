"""Draws charts with matplotlib, as SVG to be put into a page."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis as DrawnAxis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullLocator, PercentFormatter

from epp.simulate.charts import Axis, Chart, Scale, format_seconds
from epp.simulate.svg import GRID, INK, LIMIT, look_role, page_element

# Lengths of dashes and gaps in line widths: lines can be told by them where colours cannot.
_DASHES = ((), (5, 1.6), (1.2, 1.2), (5, 1.4, 1.2, 1.4))

# Inches at 72 points: as wide as a phone in points, so that text there has the size that it is drawn with.
_SIZE = (4.6, 2.9)
_LINE_WIDTH = 1.6
_THIN = 1.0

# So many lines and more are drawn thin: engines.
_MANY = 9

# Free room above the highest value of an axis, as a share of its length: a line at 100 % is not cut in half.
_ROOM = 0.03

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "epp",  # equal charts, equal ids
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.scale_dashes": True,
    "path.simplify_threshold": 0.3,  # of a pixel
}


def look_dashes(look: int) -> tuple[float, ...]:
    """Its dashes and gaps, in widths of the line; none of a solid one."""
    return _DASHES[(look + look // len(_DASHES)) % len(_DASHES)]


def draw(chart: Chart, prefix: str) -> Element:
    """The chart as an svg element, whose ids begin with `prefix`."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        names = _plot(chart, figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
    said = {"role": "img", "aria-label": f"{chart.title}: {chart.text}"}
    return page_element(file.getvalue(), names, said, prefix)


def _plot(chart: Chart, axes: Axes) -> dict[str, str]:
    """Draws; the names of lines by the ids that they have."""
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.tick_params(colors=INK, length=3)
    for spine in axes.spines.values():
        spine.set_color(GRID)
    width = _LINE_WIDTH if len(chart.lines) < _MANY else _THIN
    names = {}
    for number, band in enumerate(chart.bands):
        names[key := f"band-{number}"] = band.name
        axes.fill_between(
            band.x, band.low, band.high, color=look_role(band.look), alpha=0.25, linewidth=0, gid=key
        )
    for number, line in enumerate(chart.lines):
        names[key := f"line-{number}"] = line.name
        dashes = look_dashes(line.look)
        style = (0, dashes) if dashes else "solid"
        axes.plot(
            line.x,
            line.y,
            color=look_role(line.look),
            linewidth=width,
            linestyle=style,
            marker="o" if chart.dots else None,
            markersize=3,
            gid=key,
        )
    _mark_limits(chart, axes)
    _set_up(axes.xaxis, chart.x, axes.set_xscale, axes.set_xlim)
    _set_up(axes.yaxis, chart.y, axes.set_yscale, axes.set_ylim)
    return names


def _mark_limits(chart: Chart, axes: Axes) -> None:
    """Lines across, with their names beside them."""
    if chart.x.limit:
        name, x = chart.x.limit
        axes.axvline(x, color=LIMIT, linewidth=0.9)
        across = axes.get_xaxis_transform()
        axes.text(x, 0.03, name, color=LIMIT, rotation=90, ha="right", transform=across)
    if chart.y.limit:
        name, y = chart.y.limit
        axes.axhline(y, color=LIMIT, linewidth=0.9)
        axes.text(0.02, y, name, color=LIMIT, va="bottom", transform=axes.get_yaxis_transform())


def _set_up(
    drawn: DrawnAxis, axis: Axis, set_scale: Callable[[str], None], set_limits: Callable[..., object]
) -> None:
    """Name, extent and ticks of an axis whose lines are drawn."""
    drawn.set_label_text(axis.label, color=INK)
    if axis.scale is Scale.TIMES:
        set_scale("log")
        drawn.set_major_locator(LogLocator(subs=_between_decades(*drawn.get_view_interval())))
        drawn.set_major_formatter(FuncFormatter(lambda value, _: format_seconds(value)))
        drawn.set_minor_locator(NullLocator())
        return
    if axis.low is not None or axis.high:
        set_limits(axis.low, axis.high and axis.high + _ROOM * (axis.high - (axis.low or 0.0)))
    if axis.scale is Scale.SHARES:
        drawn.set_major_formatter(PercentFormatter(1.0, decimals=0))
    elif axis.scale is Scale.CLOCK:
        unit, seconds = _clock_unit(axis.high or 0.0)
        drawn.set_label_text(f"{axis.label}, {unit}", color=INK)
        drawn.set_major_locator(MultipleLocator(_clock_step((axis.high or 0.0) / seconds) * seconds))
        drawn.set_major_formatter(FuncFormatter(lambda value, _: f"{value / seconds:g}"))


def _clock_unit(end: float) -> tuple[str, float]:
    """Its name, and its seconds."""
    units = (("hours", 3600.0), ("minutes", 60.0))
    return next((unit for unit in units if end >= 3 * unit[1]), ("seconds", 1.0))


def _clock_step(end: float) -> float:
    """Between ticks: at most six steps to `end`."""
    tenfold = (10.0**power * factor for power in range(-6, 9) for factor in (1, 2, 5))
    return next(step for step in tenfold if end <= 6 * step)


def _between_decades(low: float, high: float) -> tuple[float, ...]:
    """Where ticks are in each decade, so that there are between three and nine."""
    decades = math.log10(high / low)
    choices = ((3.5, (1.0,)), (2.0, (1.0, 3.0)), (0.8, (1.0, 2.0, 5.0)))
    return next(
        (subs for least, subs in choices if decades > least), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    )
