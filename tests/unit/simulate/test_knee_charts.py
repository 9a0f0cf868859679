"""What a search for knees saw, as lines."""

from __future__ import annotations

from dataclasses import replace

from epp.simulate.charts import Limit
from epp.simulate.knee import Knee, Probe
from epp.simulate.knee_charts import knee_charts
from epp.simulate.plots import draw
from tests.simulated_runs import run

AT_KNEE = run(ttft=0.1)
OVERLOADED = replace(run(ttft=1.5).measures, goodput=7.0)
KNEES = {
    "mine": Knee(20.0, AT_KNEE, (Probe(20.0, AT_KNEE.measures), Probe(40.0, OVERLOADED)), 200.0, 10),
    "none": Knee(None, run(ttft=1.5), (Probe(20.0, OVERLOADED),), 100.0, 5),
}


def test_each_rate_that_was_tried_is_a_point() -> None:
    in_slo, good, ttft = knee_charts(KNEES, share=0.9)
    assert [line.name for line in in_slo.lines] == ["mine", "none"]
    assert [line.x.tolist() for line in in_slo.lines] == [[20.0, 40.0], [20.0]]
    assert in_slo.lines[0].y.tolist() == [1.0, 34 / 101]
    assert good.lines[0].y.tolist() == [AT_KNEE.measures.goodput, 7.0]
    assert ttft.lines[0].y.tolist() == [each["p90"] for each in (AT_KNEE.measures.ttft, OVERLOADED.ttft)]


def test_what_was_asked_for_is_marked() -> None:
    in_slo, good, ttft = knee_charts(KNEES, share=0.9)
    assert in_slo.y.limit == Limit("90.0% asked", 0.9)
    assert good.y.limit is None
    assert ttft.y.limit == Limit("SLO 2s", 2.0)
    assert "Knees: mine 20 a second." in in_slo.text


def test_they_can_be_drawn() -> None:
    for chart in knee_charts(KNEES, share=0.9):
        assert "a second" in " ".join(each.text or "" for each in draw(chart, "one").iter("text"))
