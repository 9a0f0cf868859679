"""Table and JSON of runs."""

from __future__ import annotations

import json
from math import nan

from epp.simulate.measures import Measures
from epp.simulate.report import document, table

SOME = Measures(
    done=5,
    duration=10.0,
    ttft={"p50": 0.1, "p90": 0.25, "p99": 1.5},
    tpot={"p50": nan, "p90": nan, "p99": nan},
    in_slo=0.8,
    goodput=0.4,
    requests_per_second=0.5,
    output_tokens_per_second=123.4,
    prefix_hit_rate=0.256,
    preemptions=2,
    adapter_loads=3,
    imbalance=1.25,
    shed={"-2": 1, "-1": 4},
    impossible=0,
)


def test_a_line_for_each_policy() -> None:
    heading, one, other = table({"mine": SOME, "default": SOME}).splitlines()
    assert heading.split("  ")[0] == "policy"
    assert len(heading) == len(one) == len(other)
    cells = [cell.strip() for cell in one.split("  ") if cell]
    assert cells == [
        *("mine", "100", "250", "1500", "-", "-", "-"),
        *("80.0%", "0.40", "0.50", "123", "25.6%", "2", "3", "1.25", "1 of -2 4 of -1"),
    ]


def test_what_is_not_known_is_null() -> None:
    read = json.loads(document({"seed": 1}, {"mine": SOME}))
    assert read["settings"] == {"seed": 1}
    assert read["policies"]["mine"]["ttft"]["p90"] == 0.25
    assert read["policies"]["mine"]["tpot"] == {"p50": None, "p90": None, "p99": None}
    assert read["policies"]["mine"]["shed"] == {"-2": 1, "-1": 4}
