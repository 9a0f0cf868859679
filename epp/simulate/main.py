"""`epp simulate`: one workload under several policies, in virtual time."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from functools import partial
from pathlib import Path

from epp.config.effective import effective_text
from epp.config.flags import parse_flags
from epp.config.picker_config import PickerConfig
from epp.errors import ConfigError, Fault
from epp.simulate.knee import Knee, find_knee
from epp.simulate.knee_report import knee_sections
from epp.simulate.measures import Run
from epp.simulate.parallel import Timed, run_all
from epp.simulate.report import document, table
from epp.simulate.run import measure_task, run_task
from epp.simulate.section import Section
from epp.simulate.settings import SimulateSettings
from epp.simulate.setup import Setup, set_up
from epp.simulate.sweep import Sweep
from epp.simulate.sweep_report import ranked, sweep_section
from epp.simulate.workloads import help_text

_PROGRAM = "epp simulate"

# What a shell expects of a command that Ctrl-C ended.
_INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Runs `epp simulate`; ConfigError with everything that is wrong with flags, files and policies."""
    settings = parse_flags(SimulateSettings, argv, program=_PROGRAM)
    if settings.workload == "help":
        print(help_text(), end="")
        return 0
    setup = set_up(settings)
    try:
        if settings.find_knee:
            runs, sections = _knees(setup, settings)
        elif setup.sweep is not None:
            runs, sections = _swept(setup, setup.sweep, settings)
        else:
            runs, sections = _runs(setup.policies, setup, settings), []
    except KeyboardInterrupt:
        print(f"{_PROGRAM}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenProcessPool:
        print(
            f"{_PROGRAM}: one of its processes was killed; if memory was short, use fewer --jobs",
            file=sys.stderr,
        )
        return 1
    _report(settings, runs, sections)
    return 0


def _runs(
    policies: Mapping[str, PickerConfig], setup: Setup, settings: SimulateSettings
) -> dict[str, Run]:
    """Each policy once; how fast it went is told on standard error."""
    requests = setup.extent.requests
    tasks = [partial(run_task, config, setup.scenario, requests) for config in policies.values()]
    timed = run_all(tasks, _processes(settings), settings.plugin_path)
    for name, each in zip(policies, timed, strict=True):
        outcome = each.result.outcome
        print(
            f"{name}: {outcome.ended_at:.0f} s simulated in {each.seconds:.1f} s, {outcome.events} events, "
            f"{outcome.events / each.seconds:.0f} a second",
            file=sys.stderr,
        )
    return {name: each.result for name, each in zip(policies, timed, strict=True)}


def _knees(setup: Setup, settings: SimulateSettings) -> tuple[dict[str, Run], list[Section]]:
    """Each policy at its knee."""
    extent = setup.extent
    tasks = [
        partial(find_knee, config, setup.scenario, settings.knee_share, extent.rate, extent.requests)
        for config in setup.policies.values()
    ]
    timed = run_all(tasks, _processes(settings), settings.plugin_path)
    knees = {name: each.result for name, each in zip(setup.policies, timed, strict=True)}
    for name, each in zip(setup.policies, timed, strict=True):
        print(f"{name}: {len(each.result.probes)} rates tried in {each.seconds:.1f} s", file=sys.stderr)
    return {name: knee.run for name, knee in knees.items()}, knee_sections(knees, settings.knee_share)


def _swept(
    setup: Setup, sweep: Sweep, settings: SimulateSettings
) -> tuple[dict[str, Run], list[Section]]:
    """The policies, the sweep's base and its winner, which is written to --sweep-out."""
    configs = (sweep.base, *sweep.variants)
    tasks = [partial(measure_task, each, setup.scenario, setup.extent.requests) for each in configs]
    timed = run_all(tasks, _processes(settings), settings.plugin_path)
    print(
        f"{len(timed)} runs in {sum(each.seconds for each in timed):.1f} s of {_processes(settings)} processes",
        file=sys.stderr,
    )
    results = ranked(sweep, [each.result for each in timed])
    winner = configs[results[0].number]
    if settings.sweep_out:
        _write(settings.sweep_out, effective_text(winner))
    compared = {**setup.policies, sweep.base_name: sweep.base, "winner": winner}
    return _runs(compared, setup, settings), [sweep_section(sweep, results)]


def _processes(settings: SimulateSettings) -> int:
    return settings.jobs or len(os.sched_getaffinity(0))


def _report(settings: SimulateSettings, runs: Mapping[str, Run], sections: Sequence[Section]) -> None:
    numbers = document(asdict(settings), {name: run.measures for name, run in runs.items()}, sections)
    if settings.json == "-":
        print(numbers, end="")
    else:
        print(*(section.text() for section in sections), table({n: r.measures for n, r in runs.items()}), sep="\n")
        if settings.json:
            _write(settings.json, numbers)
    if settings.html:
        write_page(...)
