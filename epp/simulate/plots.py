"""Draws charts as SVG to be put into a page: with its colours and its fonts, light or dark.

Matplotlib draws with colours that stand for roles. In the page's SVG they are its CSS variables; names of
lines become titles, which browsers show under the pointer, and ids are made unique in the page.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis as DrawnAxis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullLocator, PercentFormatter

from epp.simulate.charts import Axis, Chart, Scale, format_seconds

# Colours of lines; dashes as lengths in line widths. Different colours have different dashes for the first
# eight, so that neither alone has to be told.
LOOKS = 8
_DASHES = ((), (5, 1.6), (1.2, 1.2), (5, 1.4, 1.2, 1.4))

# Inches at 72 points: as wide as a phone in points, so that text there has the size that it is drawn with.
_SIZE = (4.6, 2.9)
_LINE_WIDTH = 1.6
_THIN = 1.0

# Lines of this many and more are drawn thin: engines.
_MANY = 9

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

# Roles as matplotlib knows them. Blue counts the looks.
_INK, _GRID, _LIMIT = "#010000", "#020000", "#030000"
_ROLES = {_INK: "currentColor", _GRID: "var(--grid)", _LIMIT: "var(--limit)"} | {
    f"#0001{look:02x}": f"var(--look-{look})" for look in range(LOOKS)
}

_NUMBER = re.compile(r"-?\d+\.\d+")
_ROLE = re.compile("|".join(_ROLES))
_REFERENCE = re.compile(r"#([\w-]+)")
_FONT = re.compile(r"font-family:[^;]*; ")
_SPACES = re.compile(r"\s+")
_DROPPED = ("metadata", "style")


def look_colour(look: int) -> str:
    """The CSS colour of a line."""
    return _ROLES[_colour(look)]


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
    return _for_page(file.getvalue(), chart, names, prefix)


def _plot(chart: Chart, axes: Axes) -> dict[str, str]:
    """Draws; the names of lines by the ids that they have."""
    axes.grid(visible=True, color=_GRID, linewidth=0.6)
    axes.tick_params(colors=_INK, length=3)
    for spine in axes.spines.values():
        spine.set_color(_GRID)
    width = _LINE_WIDTH if len(chart.lines) < _MANY else _THIN
    names = {}
    for number, band in enumerate(chart.bands):
        names[key := f"band-{number}"] = band.name
        axes.fill_between(
            band.x, band.low, band.high, color=_colour(band.look), alpha=0.25, linewidth=0, gid=key
        )
    for number, line in enumerate(chart.lines):
        names[key := f"line-{number}"] = line.name
        dashes = look_dashes(line.look)
        style = (0, dashes) if dashes else "solid"
        axes.plot(line.x, line.y, color=_colour(line.look), linewidth=width, linestyle=style, gid=key)
    if chart.limit is not None:
        names["limit"] = f"SLO: {format_seconds(chart.limit)}"
        axes.axvline(chart.limit, color=_LIMIT, linewidth=0.9, gid="limit")
        axes.text(chart.limit, 1.0, " SLO", color=_LIMIT, va="top", transform=axes.get_xaxis_transform())
    if chart.x.scale is Scale.TIMES:
        axes.set_xscale("log")
    else:
        axes.set_xlim(chart.x.low, chart.x.high or None)
    axes.set_ylim(chart.y.low, 1.04 * chart.y.high if chart.y.high else None)
    _label(axes.xaxis, chart.x)
    _label(axes.yaxis, chart.y)
    return names


def _label(drawn: DrawnAxis, axis: Axis) -> None:
    """The axis' name and what its ticks say."""
    drawn.set_label_text(axis.label, color=_INK)
    if axis.scale is Scale.SHARES:
        drawn.set_major_formatter(PercentFormatter(1.0, decimals=0))
    elif axis.scale is Scale.CLOCK:
        unit, seconds = _clock_unit(axis.high or 0.0)
        drawn.set_label_text(f"{axis.label}, {unit}", color=_INK)
        drawn.set_major_locator(MultipleLocator(_clock_step((axis.high or 0.0) / seconds) * seconds))
        drawn.set_major_formatter(FuncFormatter(lambda value, _: f"{value / seconds:g}"))
    elif axis.scale is Scale.TIMES:
        drawn.set_major_locator(LogLocator(subs=_between_decades(*drawn.get_view_interval())))
        drawn.set_major_formatter(FuncFormatter(lambda value, _: format_seconds(value)))
        drawn.set_minor_locator(NullLocator())


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


def _colour(look: int) -> str:
    return f"#0001{look % LOOKS:02x}"


def _for_page(svg: str, chart: Chart, names: Mapping[str, str], prefix: str) -> Element:
    root = fromstring(svg)
    _strip(root)
    used = set(_REFERENCE.findall(" ".join(value for each in root.iter() for value in each.attrib.values())))
    for element in root.iter():
        key = element.attrib.pop("id", "")
        if key in used:
            element.set("id", f"{prefix}-{key}")
        if key in names:
            title = Element("title")
            title.text = names[key]
            element.insert(0, title)
        for name, value in element.attrib.items():
            element.set(name, _short(value, prefix) if name != "id" else value)
    said = {"role": "img", "aria-label": f"{chart.title}: {chart.text}"}
    root.attrib = {"viewBox": root.attrib["viewBox"], **said}
    return root


def _strip(element: Element) -> None:
    """Takes away what a page has itself, or does not need: namespaces, metadata, styles, white space."""
    element.tag = _local(element.tag)
    element.attrib = {_local(name): value for name, value in element.attrib.items()}
    element.text = element.text if element.text and element.text.strip() else None
    element.tail = None
    for child in list(element):
        _strip(child)
        if child.tag in _DROPPED:
            element.remove(child)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _short(value: str, prefix: str) -> str:
    """An attribute with the page's colours and ids, and numbers to a tenth of a pixel."""
    value = _ROLE.sub(lambda match: _ROLES[match[0]], value)
    value = _REFERENCE.sub(lambda match: f"#{prefix}-{match[1]}", value)
    value = _SPACES.sub(" ", _FONT.sub("", value))
    return _NUMBER.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), value)
