"""The page as a browser gets it: whole, from nowhere else, and safe from what names contain."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from epp.config.flags import parse_flags
from epp.errors import ConfigError
from epp.simulate.charts import Chart
from epp.simulate.columns import Table
from epp.simulate.knee import Knee, Probe
from epp.simulate.knee_charts import knee_charts
from epp.simulate.knee_report import knee_tables
from epp.simulate.measures import Run
from epp.simulate.page import write_page
from epp.simulate.settings import SimulateSettings
from tests.simulated_runs import run

VOID = {"meta"}
HOSTILE = "<script>alert(1)</script>&\"'.yaml"
RUNS = {"quick": run(ttft=0.1), HOSTILE: run(ttft=1.5, refused=(-1,)), "oracle": run(ttft=0.05)}
ARGV = ["--workload", "a b.jsonl", "--policy", f"quick,{HOSTILE},oracle", "--slo-ttft", "1500ms"]


class Page(HTMLParser):
    """Elements, attributes and text, and that all that opens closes in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def text(self, tag: str) -> str:
        return "".join(self.texts[tag])


def written(
    path: Path,
    runs: Mapping[str, Run],
    found: Sequence[Table[Any]] = (),
    charts: Sequence[Chart] = (),
    argv: Sequence[str] = ARGV,
) -> str:
    settings = asdict(parse_flags(SimulateSettings, argv, program="epp simulate"))
    write_page(path, settings, runs, found, charts)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("page") / "page.html", RUNS)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_it_needs_nothing_else(text: str, page: Page) -> None:
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "http:" not in text
    assert "https:" not in text
    references = [value for _, name, value in page.attributes if name in ("href", "src", "xlink:href")]
    assert references
    assert all(value.startswith("#") for value in references)
    assert not re.search(r"@import|url\((?!#)", text)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_ids_are_there_once(page: Page) -> None:
    ids = Counter(value for _, name, value in page.attributes if name == "id")
    assert set(ids.values()) == {1}


def test_each_policy_has_its_rows_and_a_plot(page: Page) -> None:
    for policy in RUNS:
        assert page.text("th").count(policy) == 2 + (policy == HOSTILE) + 1
        assert policy in page.texts["figcaption"]


def test_each_figure_has_a_title_and_says_what_it_shows(page: Page) -> None:
    assert page.tags["figure"] == page.tags["figcaption"] == 3 + 6 + len(RUNS)
    assert all(page.texts["figcaption"])
    said = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(said) == page.tags["figure"]


def test_the_command_gives_the_settings_again(page: Page) -> None:
    (command,) = page.texts["code"]
    program, name, *argv = shlex.split(command)
    assert (program, name) == ("epp", "simulate")
    assert parse_flags(SimulateSettings, argv, program="") == parse_flags(SimulateSettings, ARGV, program="")


def test_what_is_best_comes_first(page: Page) -> None:
    cards = " ".join(page.texts["span"])
    assert cards.startswith(f"in SLO 100.0% quick next: {HOSTILE} 33.3% TTFT p90, ms 190 quick")
    assert "oracle knows what no picker can" in page.text("p")


def test_what_a_search_found_comes_before_the_runs(tmp_path: Path) -> None:
    runs = {"quick": RUNS["quick"]}
    knees = {"quick": Knee(20.0, runs["quick"], (Probe(20.0, runs["quick"].measures),), 1.0, 1)}
    charts = knee_charts(knees, share=0.9)
    argv = [*ARGV, "--find-knee"]
    page = Page(written(tmp_path / "page.html", runs, knee_tables(knees, share=0.9), charts, argv))
    assert page.texts["h2"][:2] == ["The search", "Numbers"]
    assert page.texts["h3"][1:3] == ["Rates tried", "What clients got"]
    assert page.texts["summary"][0] == "Rates tried"  # many rows, unfolded on demand
    assert page.texts["figcaption"][0] == charts[0].title
    assert page.texts["span"][:2] == ["knee, req/s", "20"]
    assert page.text("code").endswith(" --find-knee")


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        written(tmp_path / "none" / "page.html", {"quick": RUNS["quick"]})
