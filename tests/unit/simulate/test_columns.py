"""What the tables hold, and which number of a column is the best."""

from __future__ import annotations

from dataclasses import replace
from math import nan

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
    clients, _, _ = tables({"quick": QUICK, "slow": SLOW})
    best = dict(zip(headings(clients), clients.best(list(clients.rows)), strict=True))
    assert best["in SLO"] == "100.0%"  # the highest
    assert best["TTFT, ms p90"] == "190"  # the lowest: 0.1 to 0.2 s
    assert best["shed"] == "0"
    assert best["TPOT, ms p50"] is None  # 20.0 for both


def test_what_reads_the_same_is_not_better() -> None:
    clients, _ = tables({"one": QUICK, "other": replace(QUICK, in_slo=QUICK.in_slo - 1e-9)})
    assert set(clients.best(list(clients.rows))) == {None}


def test_what_is_not_known_is_no_best() -> None:
    unknown = replace(QUICK, imbalance=nan)
    _, pool = tables({"quick": QUICK, "unknown": unknown, "even": replace(QUICK, imbalance=1.0)})
    assert pool.best(list(pool.rows))[headings(pool).index("imbalance")] == "1.00"
    assert cells(pool, ("unknown",))["imbalance"] == "-"


def headings(table: Table[object]) -> list[str]:
    return [heading(column) for column in table.columns]


def cells(table: Table[object], key: tuple[str, ...]) -> dict[str, str]:
    return dict(zip([column.name for column in table.columns], table.cells(key), strict=True))


def heading(column: Column[object]) -> str:
    return f"{column.group} {column.name}".strip()
