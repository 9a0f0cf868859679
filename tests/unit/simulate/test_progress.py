"""Gauges, and the bar that shows them."""

from __future__ import annotations

import io

from epp.simulate.progress import CELLS, Bar, Gauge


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_over_two_gauges() -> None:
    cells = [0.0] * (2 * CELLS)
    screen = Terminal()
    with Bar(2, cells, screen) as bar:
        first, second = (Gauge(cells, number, bar.draw) for number in range(2))
        first.expect(100)
        first(12.0, 40)
        second.expect(300)
        second(30.0, 60)
        first.end()
        shown = screen.getvalue().split("\r")[-1]
    assert "1 of 2 runs" in shown
    assert "40%" in shown  # 100 and 60 of 400
    assert "160/400" in shown
    assert "42 s simulated" in shown


def test_a_task_that_has_not_begun_counts_as_the_others() -> None:
    cells = [0.0] * (2 * CELLS)
    screen = Terminal()
    with Bar(2, cells, screen) as bar:
        gauge = Gauge(cells, 0)
        gauge.expect(100)
        gauge(5.0, 50)
        bar.draw()
        assert "50/200" in screen.getvalue()


def test_the_bar_is_gone_at_the_end() -> None:
    cells = [0.0] * CELLS
    screen = Terminal()
    with Bar(1, cells, screen) as bar:
        Gauge(cells, 0, bar.draw)(1.0, 1)
    assert screen.getvalue().split("\r")[-1].strip() == ""


def test_no_bar_where_there_is_no_terminal() -> None:
    cells = [0.0] * CELLS
    file = io.StringIO()
    with Bar(1, cells, file) as bar:
        Gauge(cells, 0, bar.draw)(1.0, 1)
    assert file.getvalue() == ""
