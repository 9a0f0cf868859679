"""Elements of a page: text in them is text, wherever it came from, and a table as the terminal has it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, TypeAlias
from xml.etree.ElementTree import Element

from epp.simulate.columns import Table

Content: TypeAlias = "str | Element | None"


def element(tag: str, *content: Content, **attributes: str) -> Element:
    """An element with text and elements in it. Attributes: class_ is class, aria_label aria-label."""
    made = Element(tag, {name.strip("_").replace("_", "-"): value for name, value in attributes.items()})
    for each in content:
        if isinstance(each, Element):
            made.append(each)
        elif each and len(made):
            made[-1].tail = (made[-1].tail or "") + each
        elif each:
            made.text = (made.text or "") + each
    return made


def table_element(
    shown: Table[Any], mark: Callable[[str], Element | None], *, compared: bool = True
) -> Element:
    """`shown` with its title, in a frame that scrolls where it is too wide.

    `mark` gives what stands before a row's name; where rows are `compared` the best numbers are marked.
    """
    best = shown.best() if compared else set()
    head = [*(_key_head(key) for key in shown.keys), *_group_heads(shown)]
    names = [element("th", column.name, scope="col") for column in shown.columns if column.group]
    rows = [
        element(
            "tr", *_row_heads(key, mark), *(_cell(text, (key, n) in best) for n, text in enumerate(cells))
        )
        for key, cells in ((key, shown.cells(key)) for key in shown.rows)
    ]
    table = element(
        "table",
        element("thead", element("tr", *head), element("tr", *names)),
        element("tbody", *rows),
        aria_label=shown.title,
    )
    frame = element("div", table, class_="scrolls", tabindex="0", role="region", aria_label=shown.title)
    return element("div", element("h3", shown.title), frame)


def _key_head(name: str) -> Element:
    return element("th", name, scope="col", rowspan="2", class_="key")


def _group_heads(shown: Table[Any]) -> list[Element]:
    """Columns of no group reach over both lines of the head."""
    heads = []
    for group, columns in groupby(shown.columns, key=lambda column: column.group):
        if group:
            heads.append(element("th", group, scope="colgroup", colspan=str(len(list(columns)))))
        else:
            heads += [element("th", column.name, scope="col", rowspan="2") for column in columns]
    return heads


def _row_heads(key: tuple[str, ...], mark: Callable[[str], Element | None]) -> list[Element]:
    return [element("th", mark(each), each, scope="row") for each in key]


def _cell(text: str, is_best: bool) -> Element:
    if not is_best:
        return element("td", text)
    return element("td", element("strong", text), element("span", " best", class_="unseen"), class_="best")
