"""Policies against each other, on every workload and at several loads: the numbers of docs/policies.md.

    python -m benchmarks.policies RESULTS --conversation mooncake_conversation.jsonl --code azure_code.csv
    python -m benchmarks.policies RESULTS --workload shared-prefix --load 100

The first command runs everything and prints the document's tables as Markdown; the second one table. A load
is a part of the knee, in per cent: of the rate up to which the `reference` policy keeps the SLO for 90 % of
all requests. RESULTS is a directory. What is in it is not run again, so that a run that was ended goes on
where it was. A run is known by its policy, its workload and its engines, and is made again when one of them
changes; but not when the simulator itself does: begin with an empty directory after that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.policies_report import Means, markdown, mean
from epp.config.effective import effective_text
from epp.config.picker_config import PickerConfig
from epp.sim.engine import EngineConfig
from epp.simulate.fleet import alike, slower
from epp.simulate.knee import find_knee, lasting
from epp.simulate.measures import Slo
from epp.simulate.parallel import run_all
from epp.simulate.policies import load_policy
from epp.simulate.progress import Gauge
from epp.simulate.run import Scenario, extent, measure_task

POLICIES = (
    "random",
    "round-robin",
    "least-requests",
    "reference-1.0",
    "reference",
    "llm-d",
    "sticky-until-saturated",
    "default",
    "oracle",
)
LOADS = (50, 80, 100, 120)  # per cent of the knee
SLO = Slo(ttft=2.0, tpot=0.05)  # of `epp simulate`
# The conversation trace has prompts that take an idle engine seconds; with less the reference has no knee.
SLO_OF_LONG_PROMPTS = Slo(ttft=10.0, tpot=0.2)
SHARE = 0.9  # of requests in SLO at the knee

# Of the workloads that the default is judged by; for the others there is one, so that all of it ends in about
# twenty minutes on two CPUs. A trace is what it is: its seed decides between equals alone.
SEEDS = (1, 2)

# An adapter's slots cost memory: vLLM's default is 1, pools with many adapters have a few.
_WITH_ADAPTERS = EngineConfig(max_loras=4)

# A quarter of the pool is of an older kind.
_HETEROGENEOUS = {
    **alike(3),
    "slow-0": EngineConfig(step_time=slower(EngineConfig().step_time, 2)),
}


@dataclass(frozen=True)
class Workload:
    """What is run: `arrivals` as `epp simulate --workload` takes it."""

    arrivals: str
    about: str
    requests: int = 800  # at least
    engines: Mapping[str, EngineConfig] | None = None
    seeds: tuple[int, ...] = (1,)
    slo: Slo = SLO

    def scenario(self, seed: int) -> Scenario:
        """Without a rate."""
        return Scenario(self.arrivals, self.engines or alike(4), self.slo, self.requests, seed=seed)


def workloads(conversation: str, code: str) -> dict[str, Workload]:
    """All by name; those of traces only where there is a path."""
    traces = {
        "conversation": Workload(
            conversation,
            "Mooncake's conversation trace, 3,000 requests; good are a TTFT of 10 s, a TPOT of 200 ms",
            3000,
            alike(8),
            slo=SLO_OF_LONG_PROMPTS,
        ),
        "code": Workload(code, "Azure's code trace of 2023, its first 2,000 requests", 2000, alike(4)),
    }
    slots = dict.fromkeys(alike(4), _WITH_ADAPTERS)
    return {name: each for name, each in traces.items() if each.arrivals} | {
        "shared-prefix": Workload("shared-prefix", "150 prompts of 6,000 tokens in common", seeds=SEEDS),
        "chat": Workload("chat", "conversations, each turn with all before it", seeds=SEEDS),
        "agents": Workload("agents", "agent loops: many short steps over a growing prompt"),
        # Short requests: of four engines a minute has 15,000 of them.
        "sharegpt": Workload("sharegpt", "ShareGPT's lengths, no prefixes", engines=alike(2)),
        "adapters": Workload("adapters", "24 adapters, four slots an engine", engines=slots, seeds=SEEDS),
        "many-adapters": Workload(
            "many-adapters", "200 adapters, four slots an engine", engines=slots, seeds=SEEDS
        ),
        "bursts": Workload("bursts", "16 requests at a time", seeds=SEEDS),
        "waves": Workload("waves", "calm and busy times"),
        "heavy-tailed": Workload("heavy-tailed", "no prefixes, prompts of up to 100,000 tokens"),
        "priorities": Workload("priorities", "shared prefixes, half of the requests sheddable"),
        "heterogeneous": Workload(
            "shared-prefix",
            "shared prefixes, one of four engines half as fast",
            engines=_HETEROGENEOUS,
            seeds=SEEDS,
        ),
    }


@dataclass(frozen=True)
class Case:
    """One run: of one cell of a table with one seed."""

    workload: str
    load: int
    policy: str
    scenario: Scenario
    config: PickerConfig

    @property
    def key(self) -> str:
        """Differs with everything that goes into the run."""
        return _key(self.scenario, self.config)


class Results:
    """What is known, as JSON lines in a file: each the result of one run by its key."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "runs.jsonl"
        self.path.touch()

    def read(self) -> dict[str, Any]:
        """All results by key."""
        lines = map(json.loads, self.path.read_text(encoding="utf-8").splitlines())
        return {line["key"]: line["result"] for line in lines}


def _key(scenario: Scenario, config: PickerConfig) -> str:
    return hashlib.sha256(f"{scenario!r}\n{effective_text(config)}".encode()).hexdigest()[:16]


def run(wanted: Mapping[str, Workload], loads: Iterable[int], results: Results, jobs: int) -> list[Case]:
    """Runs what is not known yet: first the knees, then the cases, which are returned."""
    reference = load_policy("reference")
    knees = {name: (each.scenario(seed=1), reference) for name, each in wanted.items()}
    _run_missing(
        {_knee_key(*each): partial(_knee, *each, results.path) for each in knees.values()}, results, jobs
    )
    known = results.read()
    rates = {name: known[_knee_key(*each)] for name, each in knees.items()}
    cases = list(_cases(wanted, loads, rates))
    _run_missing(
        {case.key: partial(_measure, case.scenario, case.config, results.path) for case in cases},
        results,
        jobs,
    )
    return cases


def _run_missing(tasks: Mapping[str, Any], results: Results, jobs: int) -> None:
    known = results.read()
    missing = [task for key, task in tasks.items() if key not in known]
    if missing:
        run_all(missing, jobs)


def _cases(
    wanted: Mapping[str, Workload], loads: Iterable[int], rates: Mapping[str, float]
) -> Iterator[Case]:
    configs = {policy: load_policy(policy) for policy in POLICIES}
    for name, workload in wanted.items():
        for load in loads:
            rate = float(f"{rates[name] * load / 100:.3g}")
            for policy, config in configs.items():
                for seed in workload.seeds:
                    scenario = lasting(workload.scenario(seed), workload.requests, rate)
                    yield Case(name, load, policy, scenario, config)


def _knee_key(scenario: Scenario, config: PickerConfig) -> str:
    return f"knee {SHARE} {_key(scenario, config)}"


def _knee(scenario: Scenario, config: PickerConfig, path: Path, gauge: Gauge) -> None:
    """A task: finds the knee and writes its rate."""
    knee = find_knee(config, scenario, SHARE, extent(scenario), gauge)
    if knee.rate is None:
        raise RuntimeError(f"no rate keeps the SLO on {scenario.workload}")
    _write(path, _knee_key(scenario, config), knee.rate)


def _measure(scenario: Scenario, config: PickerConfig, path: Path, gauge: Gauge) -> None:
    """A task: one run, whose measures it writes."""
    assert scenario.requests is not None
    measures = measure_task(config, scenario, scenario.requests, gauge)
    _write(path, _key(scenario, config), asdict(measures))


def _write(path: Path, key: str, result: Any) -> None:
    # One write to a file open for appending: lines of several processes do not mix.
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps({"key": key, "result": result}).encode() + b"\n")


def means(cases: Iterable[Case], results: Results) -> Means:
    """By workload, load and policy: the measures on average over the seeds."""
    known = results.read()
    cells: dict[tuple[str, int, str], list[Any]] = {}
    for case in cases:
        cells.setdefault((case.workload, case.load, case.policy), []).append(known[case.key])
    return {cell: mean(measures) for cell, measures in cells.items()}


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path, help="directory of the results")
    parser.add_argument("--conversation", default="", help="path of Mooncake's conversation trace")
    parser.add_argument("--code", default="", help="path of Azure's code trace")
    parser.add_argument("--workload", action="append", help="only this one; may be given again")
    parser.add_argument("--load", type=int, action="append", help="only this per cent of the knee; again")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at a time")
    arguments = parser.parse_args()
    every = workloads(arguments.conversation, arguments.code)
    unknown = set(arguments.workload or ()) - set(every)
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    wanted = {name: every[name] for name in arguments.workload or every}
    results = Results(arguments.results)
    cases = run(wanted, arguments.load or LOADS, results, arguments.jobs)
    rates = {(case.workload, case.load): case.scenario.rate or 0.0 for case in cases}
    texts = {
        name: f"{each.about}; {len(each.engines or alike(4))} engines, {each.requests} requests "
        + "or a minute of them"
        + (f", {len(each.seeds)} seeds" if len(each.seeds) > 1 else "")
        for name, each in wanted.items()
    }
    print(markdown(means(cases, results), rates, texts), end="")


if __name__ == "__main__":
    main()
