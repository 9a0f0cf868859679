"""SVG made part of a page."""

from __future__ import annotations

from xml.etree.ElementTree import tostring

from epp.simulate.svg import INK, look_role, page_element

DOCUMENT = f"""<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
 width="9pt" viewBox="0 0 9 5">
  <metadata><who xmlns="http://purl.org/dc">us</who></metadata>
  <defs><style>* {{color: red}}</style><clipPath id="clip"><rect width="1.23456"/></clipPath></defs>
  <g id="line-0"><path d="M 1.98765 2.04
L 3 4" style="stroke: {look_role(1)}; fill: {INK}" clip-path="url(#clip)"/></g>
  <g id="unused"><use xlink:href="#clip"/>
  <text style="font-size: 9px; font-family: 'A', b; x: 1">T &lt; 1</text></g>
</svg>"""


def test_all_that_is_changed() -> None:
    made = page_element(DOCUMENT, {"line-0": "a & b"}, {"role": "img"}, "one")
    assert tostring(made, encoding="unicode") == (
        '<svg viewBox="0 0 9 5" role="img">'
        '<defs><clipPath id="one-clip"><rect width="1.2" /></clipPath></defs>'
        '<g><title>a &amp; b</title><path d="M 2 2 L 3 4" style="stroke: var(--look-1); fill: currentColor" '
        'clip-path="url(#one-clip)" /></g>'
        '<g><use href="#one-clip" /><text style="font-size: 9px; x: 1">T &lt; 1</text></g>'
        "</svg>"
    )
