"""SVG as matplotlib writes it, made part of a page: with the page's colours and fonts, light or dark.

Matplotlib draws with colours that stand for roles; here they become the page's CSS variables. Names of lines
become titles, which browsers show under the pointer, and ids are made unique in the page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element, fromstring

# Colours of lines that the page has.
LOOKS = 8

# Roles as matplotlib is given them.
INK, GRID, LIMIT = "#010000", "#020000", "#030000"
_ROLES = {INK: "currentColor", GRID: "var(--grid)", LIMIT: "var(--limit)"} | {
    f"#0001{look:02x}": f"var(--look-{look})" for look in range(LOOKS)
}

_ROLE = re.compile("|".join(_ROLES))
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"#([\w-]+)")
_FONT = re.compile(r"font-family:[^;]*; ")
_SPACES = re.compile(r"\s+")
_DROPPED = ("metadata", "style")


def look_role(look: int) -> str:
    """The colour that matplotlib draws a line of this look with."""
    return f"#0001{look % LOOKS:02x}"


def look_colour(look: int) -> str:
    """The colour that a line of this look has in the page."""
    return _ROLES[look_role(look)]


def page_element(svg: str, names: Mapping[str, str], attributes: Mapping[str, str], prefix: str) -> Element:
    """The document `svg` as an element of a page, which scales to its room.

    `names` are those of elements by their ids; `prefix` is what the element's ids begin with.
    """
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
    root.attrib = {"viewBox": root.attrib["viewBox"], **attributes}
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
