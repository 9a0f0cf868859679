"""Tables and JSON of runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import nan
from pathlib import Path

from epp.simulate.report import document, table
from tests.simulated_runs import run

QUICK, SLOW = run(ttft=0.1).measures, run(ttft=1.5).measures
SHEDDING = run(refused=(-1, -1, -2)).measures


def test_tables_for_a_terminal() -> None:
    assert (
        table({"quick": QUICK, "my/slow.yaml": SLOW})
        == """\
                                         TTFT, ms          TPOT, ms     latency, s
policy        in SLO  good/s    p50    p90    p99   p50   p90   p99  p50  p90  p99  shed
quick         100.0%    1.01    150    190    199  20.0  20.0  20.0  0.4  0.4  0.4     0
my/slow.yaml   33.7%    0.34  2,250  2,850  2,985  20.0  20.0  20.0  2.5  3.0  3.2     0

                     tokens/s   prefix hits
policy        req/s   in  out  found  ideal  imbalance  preempted  adapter loads
quick          1.00  100   11  60.0%  80.0%       2.00          0              0
my/slow.yaml   1.00  100   11  60.0%  80.0%       2.00          0              0

in SLO: TTFT at most 2s, TPOT at most 50ms
"""
    )


def test_priorities_have_a_table_of_their_own() -> None:
    *_, priorities, _ = table({"shedding": SHEDDING}).split("\n\n")
    assert [line.split() for line in priorities.splitlines()] == [
        ["TTFT,", "ms"],
        ["policy", "priority", "requests", "shed", "in", "SLO", "p50", "p90", "p99"],
        ["shedding", "0", "101", "0", "100.0%", "150", "190", "199"],
        ["shedding", "-1", "2", "2", "0.0%", "-", "-", "-"],
        ["shedding", "-2", "1", "1", "0.0%", "-", "-", "-"],
    ]


def test_the_lines_of_a_terminal_are_long_enough() -> None:
    longest = {"sticky-until-saturated": run(ttft=30.0, refused=(0,) * 300).measures}
    assert max(map(len, table(longest).splitlines())) <= 110


def test_json() -> None:
    read = json.loads(document({"seed": 1, "policy": ("shedding",)}, {"shedding": SHEDDING}))
    assert read["settings"] == {"seed": 1, "policy": ["shedding"]}
    numbers = read["policies"]["shedding"]
    assert numbers["ttft"]["p90"] == SHEDDING.ttft["p90"]
    assert numbers["shed"] == {"-1": 2, "-2": 1}
    assert numbers["slo"] == {"ttft": 2.0, "tpot": 0.05}


def test_what_is_not_known_is_null() -> None:
    read = json.loads(document({}, {"shedding": SHEDDING}, {"knee": [{"rate": nan}]}))
    assert read["policies"]["shedding"]["priorities"]["-2"]["ttft"] == dict.fromkeys(
        ("mean", "p50", "p90", "p99")
    )
    assert read["knee"] == [{"rate": None}]


def test_every_key_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "simulate.md").read_text(encoding="utf-8")
    _, section = text.split("### The JSON file")
    keys = {*asdict(SHEDDING), *SHEDDING.ttft, *asdict(SHEDDING.priorities["0"])}
    assert not {key for key in keys if f"`{key}`" not in section.split("###")[0]}
