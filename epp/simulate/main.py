"""`epp simulate`: one workload under several policies, in virtual time."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from epp.config.effective import effective_text
from epp.config.flags import parse_flags
from epp.config.picker_config import PickerConfig
from epp.errors import ConfigError, Fault
from epp.simulate.charts import Chart
from epp.simulate.columns import Table
from epp.simulate.knee import find_knee
from epp.simulate.knee_charts import knee_charts
from epp.simulate.knee_report import knee_data, knee_tables
from epp.simulate.measures import Run
from epp.simulate.parallel import run_all
from epp.simulate.report import document, table, table_text
from epp.simulate.run import measure_task, run_task
from epp.simulate.settings import SimulateSettings
from epp.simulate.setup import Setup, set_up
from epp.simulate.sweep import Sweep
from epp.simulate.sweep_report import ranked, sweep_data, sweep_table
from epp.simulate.workloads import help_text

_PROGRAM = "epp simulate"

# What a shell expects of a command that Ctrl-C ended.
_INTERRUPTED = 130


class _Answer(NamedTuple):
    """What is reported: runs to compare, and the tables, charts and data of a search."""

    runs: Mapping[str, Run]
    tables: Sequence[Table[Any]] = ()
    data: Mapping[str, Any] = {}
    charts: Sequence[Chart] = ()


def main(argv: Sequence[str]) -> int:
    """Runs `epp simulate`; ConfigError with everything that is wrong with flags, files and policies."""
    settings = parse_flags(SimulateSettings, argv, program=_PROGRAM)
    if settings.workload == "help":
        print(help_text(), end="")
        return 0
    try:
        _report(settings, _answer(set_up(settings), settings))
    except KeyboardInterrupt:
        _tell("interrupted")
        return _INTERRUPTED
    except BrokenProcessPool:
        _tell("one of its processes was killed; if memory was short, use fewer --jobs")
        return 1
    return 0


def _answer(setup: Setup, settings: SimulateSettings) -> _Answer:
    if settings.find_knee:
        return _knees(setup, settings)
    if setup.sweep is not None:
        return _swept(setup, setup.sweep, settings)
    return _Answer(_runs(setup.policies, setup, settings))


def _runs(policies: Mapping[str, PickerConfig], setup: Setup, settings: SimulateSettings) -> dict[str, Run]:
    """Each policy once."""
    requests = setup.extent.requests
    tasks = [partial(run_task, config, setup.scenario, requests) for config in policies.values()]
    timed = run_all(tasks, settings.processes, settings.plugin_path)
    for name, (run, seconds) in zip(policies, timed, strict=True):
        _tell(f"{name}: {_speed(run.outcome.ended_at, run.outcome.events, seconds)}")
        _tell_misbehaviour(name, run)
    return {name: each.result for name, each in zip(policies, timed, strict=True)}


def _knees(setup: Setup, settings: SimulateSettings) -> _Answer:
    """Each policy at its knee."""
    share = settings.knee_share
    tasks = [
        partial(find_knee, each, setup.scenario, share, setup.extent) for each in setup.policies.values()
    ]
    timed = run_all(tasks, settings.processes, settings.plugin_path)
    for name, (knee, seconds) in zip(setup.policies, timed, strict=True):
        _tell(f"{name}: {len(knee.probes)} rates tried, {_speed(knee.simulated, knee.events, seconds)}")
        _tell_misbehaviour(name, knee.run)
    knees = {name: each.result for name, each in zip(setup.policies, timed, strict=True)}
    runs = {name: knee.run for name, knee in knees.items()}
    found = {"knee": knee_data(knees, share)}
    return _Answer(runs, knee_tables(knees, share), found, knee_charts(knees, share))


def _swept(setup: Setup, sweep: Sweep, settings: SimulateSettings) -> _Answer:
    """The policies, the sweep's base and its winner, which --sweep-out gets."""
    configs = (sweep.base, *sweep.variants)
    tasks = [partial(measure_task, each, setup.scenario, setup.extent.requests) for each in configs]
    timed = run_all(tasks, settings.processes, settings.plugin_path)
    simulated, seconds = (sum(times) for times in zip(*((m.duration, s) for m, s in timed), strict=True))
    _tell(f"{len(timed)} runs, {simulated:.0f} s simulated, {seconds:.1f} s over all processes")
    results = ranked(sweep, [each.result for each in timed])
    if settings.sweep_out:
        _write(settings.sweep_out, effective_text(results[0].config))
    compared = {**setup.policies, sweep.base_name: sweep.base}
    if results[0].config is not sweep.base:
        compared["winner"] = results[0].config
    return _Answer(
        _runs(compared, setup, settings),
        [sweep_table(sweep, results)],
        {"sweep": sweep_data(sweep, results)},
    )


def _report(settings: SimulateSettings, answer: _Answer) -> None:
    measures = {name: run.measures for name, run in answer.runs.items()}
    numbers = document(asdict(settings), measures, answer.data)
    if settings.json == "-":
        print(numbers, end="")
    else:
        print(*(table_text(each) for each in answer.tables), table(measures), sep="\n", end="", flush=True)
    if settings.json not in ("", "-"):
        _write(settings.json, numbers)
        _tell(f"numbers in {settings.json}")
    if settings.html:
        _write_page(settings, answer)


def _write_page(settings: SimulateSettings, answer: _Answer) -> None:
    if find_spec("matplotlib") is None:
        _tell("no page without matplotlib: pip install 'epp[simulate]', or --html ''")
        return
    from epp.simulate.page import write_page  # a second or two of import

    write_page(Path(settings.html), asdict(settings), answer.runs, answer.tables, answer.charts)
    _tell(f"page in {settings.html}")


def _write(path: str, content: str) -> None:
    try:
        Path(path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigError([Fault(path, 0, "", f"cannot be written: {error.strerror}")]) from error


def _speed(simulated: float, events: int, seconds: float) -> str:
    return f"{simulated:.0f} s simulated in {seconds:.1f} s, {events} events, {events / seconds:.0f} a second"


def _tell_misbehaviour(policy: str, run: Run) -> None:
    for what, times in run.outcome.misbehaved.items():
        _tell(f"{policy}: {what}; {times} times")


def _tell(text: str) -> None:
    print(f"{_PROGRAM}: {text}", file=sys.stderr)
