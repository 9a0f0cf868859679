"""What the lines of charts say of small runs."""

from __future__ import annotations

import numpy as np
import pytest

from epp.simulate.charts import (
    MOST_LINES,
    Chart,
    Line,
    engine_charts,
    format_seconds,
    latency_charts,
    pool_charts,
)
from epp.simulate.measures import Run, Slo, measure
from epp.simulate.simulation import Outcome
from epp.simulate.workload import Arrival
from tests.simulated_runs import run

# 101 answers with first tokens after 0.1 to 0.2 s, or 1.5 to 3 s, of which a third keep the SLO of 2 s.
RUNS = {"quick": run(ttft=0.1), "slow": run(ttft=1.5, refused=(0,) * 101)}
NOTHING = {"none": Run(measure(Outcome(), {}, Slo(1.0, 1.0)), Outcome())}


def line(charts: list[Chart], title: str, name: str) -> Line:
    (chart,) = (chart for chart in charts if chart.title == title)
    (found,) = (each for each in chart.lines if each.name == name)
    return found


def test_the_share_of_answers_grows_to_all_of_them() -> None:
    found = line(latency_charts(RUNS), "Time to first token", "quick")
    assert (found.x[0], found.x[-1]) == pytest.approx((0.1, 0.2))
    assert (found.y[0], found.y[-1]) == (1 / 101, 1.0)
    assert np.interp(0.19, found.x, found.y) == pytest.approx(0.9, abs=0.01)


def test_the_refused_never_had_an_answer() -> None:
    for chart in latency_charts(RUNS):
        (slow,) = (each for each in chart.lines if each.name == "slow")
        assert slow.y[-1] == 0.5


def test_a_line_has_few_points_and_both_ends() -> None:
    found = line(latency_charts({"many": run(requests=10_000)}), "Time to first token", "many")
    assert 200 < len(found.x) < 300
    assert (found.x[-1], found.y[-1]) == (pytest.approx(0.2), 1.0)


def test_the_slo_is_marked_where_there_is_one() -> None:
    assert [chart.x.limit for chart in latency_charts(RUNS)] == [("SLO 2s", 2.0), ("SLO 50ms", 0.05), None]


def test_what_cannot_be_seen_is_said() -> None:
    ttft, *_ = latency_charts(RUNS)
    assert ttft.text.endswith("p90 of the answers: quick 190ms, slow 2.85s.")
    (waiting,) = (chart for chart in pool_charts(RUNS) if chart.title == "Requests waiting")
    assert waiting.text.endswith("Median: quick 1, slow 1.")


def test_the_pool_over_time() -> None:
    charts = pool_charts(RUNS)
    for title, level in (
        ("Requests running", 3.0),
        ("Requests waiting", 1.0),
        ("Imbalance", 2.0),
        ("Prefix hits", 0.6),
        ("KV cache in use", 0.25),
    ):
        found = line(charts, title, "quick")
        assert found.y == pytest.approx(np.full(60, level)), title
        assert (found.x[0], found.x[-1]) == pytest.approx((0, 100), abs=2)


def test_good_answers_by_when_their_requests_came() -> None:
    # First tokens come ever later: after 2 s from the 34th request on.
    found = line(pool_charts({"slow": run(ttft=1.5)}), "Good answers", "slow")
    assert found.y[found.x < 32] == pytest.approx(1.0)
    assert found.y[found.x > 36] == pytest.approx(0.0)


def test_the_refused_are_no_good_answers() -> None:
    one = run()
    one.outcome.refused += [Arrival(float(each), (), 1, "") for each in range(101)]
    assert line(pool_charts({"one": one}), "Good answers", "one").y == pytest.approx(0.5)


def test_intervals_without_requests_are_left_out() -> None:
    one = run()
    del one.outcome.done[20:80]
    found = line(pool_charts({"one": one}), "Good answers", "one")
    assert not np.isnan(found.y).any()
    assert not ((found.x > 22) & (found.x < 78)).any()


def test_each_engine_has_a_line_and_all_charts_one_scale() -> None:
    charts = engine_charts({"two": run(engines=2), "three": run(engines=3)})
    assert [[each.name for each in chart.lines] for chart in charts] == [
        ["engine-0", "engine-1"],
        ["engine-0", "engine-1", "engine-2"],
    ]
    assert {(chart.x.high, chart.y.high) for chart in charts} == {(101.0, 4.0)}
    assert charts[0].lines[0].y.tolist() == [4.0] * 101
    assert charts[0].lines[1].y.tolist() == [0.0] * 101


def test_many_engines_are_a_band() -> None:
    (chart,) = engine_charts({"many": run(engines=MOST_LINES + 1)})
    (median,), (band,) = chart.lines, chart.bands
    assert (median.y.max(), band.low.max(), band.high.min()) == (0.0, 0.0, 4.0)


def test_nothing_was_asked_for() -> None:
    for chart in (*latency_charts(NOTHING), *pool_charts(NOTHING), *engine_charts(NOTHING)):
        assert all(not len(each.x) for each in chart.lines)


@pytest.mark.parametrize(("seconds", "text"), [(0.19023, "190ms"), (2.8512, "2.85s"), (100.4, "1m40s")])
def test_seconds_have_three_digits(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
