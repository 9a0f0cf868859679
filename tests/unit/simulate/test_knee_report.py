"""How knees are shown."""

from __future__ import annotations

import json
from dataclasses import replace

from epp.simulate.fleet import alike
from epp.simulate.knee import Knee, Probe
from epp.simulate.knee_report import knee_data, knee_tables
from epp.simulate.measures import Slo
from epp.simulate.policies import load_policy
from epp.simulate.report import document, table_text
from epp.simulate.run import Scenario, simulate

RUN = simulate(load_policy("random"), Scenario("adapters", alike(1), Slo(2.0, 0.05), requests=20))


def knees() -> dict[str, Knee]:
    good, bad = (replace(RUN.measures, in_slo=share) for share in (0.95, 0.4))
    found = Knee(12.5, RUN, (Probe(12.5, good), Probe(25.0, bad)), 30.0, 1000)
    return {"found": found, "none": Knee(None, RUN, (Probe(0.5, bad),), 40.0, 900)}


def test_the_knees_and_then_every_rate() -> None:
    knee, tried = knee_tables(knees(), 0.9)
    lines = [line.split() for line in table_text(knee).splitlines()]
    assert lines[0][:2] == ["Knee:", "the"]
    assert [line[:2] for line in lines[-2:]] == [["found", "12.5"], ["none", "-"]]
    lines = [line.split() for line in table_text(tried).splitlines()]
    assert [line[:3] for line in lines[-3:]] == [
        ["found", "12.5", "95.0%"],
        ["found", "25", "40.0%"],
        ["none", "0.5", "40.0%"],
    ]


def test_as_data() -> None:
    data = json.loads(document({}, {}, {"knee": knee_data(knees(), 0.9)}))["knee"]
    assert data["share"] == 0.9
    assert data["policies"]["none"]["rate"] is None
    assert [probe["rate"] for probe in data["policies"]["found"]["probes"]] == [12.5, 25.0]
    assert data["policies"]["found"]["probes"][1]["measures"]["in_slo"] == 0.4
