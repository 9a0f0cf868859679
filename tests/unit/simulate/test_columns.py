"""What the tables hold, and which number of a column is the best."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any

from epp.simulate.columns import Column, Table, tables
from tests.simulated_runs import run

QUICK, SLOW = run(ttft=0.1).measures, run(ttft=1.5, refused=(-1, -1)).measures


def test_a_row_for_each_policy() -> None:
    clients, pool = tables({"quick": QUICK, "quick too": QUICK})
    assert list(clients.rows) == list(pool.rows) == [("quick",), ("quick too",)]
    assert len({len(clients.cells(key)) for key in clients.rows} | {len(clients.columns)}) == 1


def test_a_row_for_each_priority_where_there_are_several() -> None:
    *_, priorities = tables({"quick": QUICK, "slow": SLOW})
    assert list(priorities.rows) == [("quick", "0"), ("slow", "0"), ("slow", "-1")]
    assert cells(priorities, ("slow", "-1")) == {
        "requests": "2",
        "shed": "2",
        "in SLO": "0.0%",
        "p50": "-",
        "p90": "-",
        "p99": "-",
    }


def test_the_best_of_each_column() -> None:
    clients, *_ = tables({"quick": QUICK, "slow": SLOW})
    assert best(clients) == {
        ("quick", "in SLO"),  # the highest
        ("quick", "good/s"),
        *(("quick", f"TTFT, ms {name}") for name in ("p50", "p90", "p99")),  # the lowest
        *(("quick", f"latency, s {name}") for name in ("p50", "p90", "p99")),
        ("quick", "shed"),
    }  # and not TPOT, which is 20.0 for both


def test_what_reads_the_same_is_not_better() -> None:
    one, other = QUICK, replace(QUICK, in_slo=QUICK.in_slo - 1e-9)
    worse = replace(QUICK, in_slo=0.5)
    assert not best(tables({"one": one, "other": other})[0])
    among_three = best(tables({"one": one, "other": other, "worse": worse})[0])
    assert among_three == {("one", "in SLO"), ("other", "in SLO")}


def test_what_is_not_known_is_no_best() -> None:
    unknown, even = replace(QUICK, imbalance=nan), replace(QUICK, imbalance=1.0)
    _, pool = tables({"quick": QUICK, "unknown": unknown, "even": even})
    assert best(pool) == {("even", "imbalance")}
    assert cells(pool, ("unknown",))["imbalance"] == "-"


def test_a_bound_is_no_policy_to_beat() -> None:
    assert not best(tables({"oracle": QUICK, "slow": SLOW})[0])


def test_priorities_compete_with_their_like() -> None:
    *_, priorities = tables({"slow": SLOW, "quick": run(ttft=0.1, refused=(-1,)).measures})
    assert {row for row, _ in best(priorities)} == {"quick 0"}


def best(table: Table[Any]) -> set[tuple[str, str]]:
    """Rows and headings of the best numbers."""
    return {(" ".join(key), headings(table)[number]) for key, number in table.best()}


def headings(table: Table[Any]) -> list[str]:
    return [heading(column) for column in table.columns]


def cells(table: Table[Any], key: tuple[str, ...]) -> dict[str, str]:
    return dict(zip([column.name for column in table.columns], table.cells(key), strict=True))


def heading(column: Column[Any]) -> str:
    return f"{column.group} {column.name}".strip()
