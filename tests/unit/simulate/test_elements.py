"""Elements and tables of a page."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

from epp.simulate.columns import tables
from epp.simulate.elements import element, table_element
from tests.simulated_runs import run


def html(made: Element) -> str:
    return tostring(made, encoding="unicode", method="html")


def test_text_is_text() -> None:
    made = element("p", "1 < 2 & ", element("b", "<script>"), " so", " what", title='"a" < b')
    assert html(made) == ('<p title="&quot;a&quot; < b">1 &lt; 2 &amp; <b>&lt;script&gt;</b> so what</p>')


def test_attributes_by_their_html_names() -> None:
    assert html(element("p", None, class_="a", aria_label="b")) == '<p class="a" aria-label="b"></p>'


def test_a_table() -> None:
    runs = {"quick": run(ttft=0.1).measures, "my/<slow>.yaml": run(ttft=1.5).measures}
    made = table_element(tables(runs)[0], lambda name: element("i") if name == "quick" else None)
    assert made.findtext("h3") == "What clients got"
    first, second = made.findall("div/table/thead/tr")
    assert [(each.text, each.get("colspan")) for each in first.iter("th")] == [
        ("policy", None),
        ("in SLO", None),
        ("good/s", None),
        ("TTFT, ms", "3"),
        ("TPOT, ms", "3"),
        ("latency, s", "3"),
        ("shed", None),
    ]
    assert [each.text for each in second.iter("th")] == ["p50", "p90", "p99"] * 3
    rows = ["".join(each.itertext()) for each in made.findall("div/table/tbody/tr/th")]
    assert rows == ["quick", "my/<slow>.yaml"]
    assert len(made.findall("div/table/tbody/tr/th/i")) == 1


def test_the_best_is_told_to_eyes_and_ears() -> None:
    runs = {"quick": run(ttft=0.1).measures, "slow": run(ttft=1.5).measures}
    made = table_element(tables(runs)[0], lambda name: None)
    first, second = (
        ["".join(cell.itertext()) for cell in row.iter("td")] for row in made.findall("div/table/tbody/tr")
    )
    assert first[:3] == ["100.0% best", "1.01 best", "150 best"]
    assert second[:3] == ["33.7%", "0.34", "2,250"]
    assert [each.text for each in made.iter("strong")][:2] == ["100.0%", "1.01"]


def test_what_cannot_be_compared_has_no_best() -> None:
    runs = {"quick": run(ttft=0.1).measures, "slow": run(ttft=1.5).measures}
    made = table_element(tables(runs)[0], lambda name: None, compared=False)
    assert not list(made.iter("strong"))
