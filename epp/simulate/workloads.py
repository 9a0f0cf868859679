"""Workloads by what users write: a generator's name with parameters, a sample's name, or a trace's path:

chat
chat:turns=20,think=~10
mooncake-sample
traces/hour.jsonl.gz
"""

from __future__ import annotations

import random
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, get_type_hints

from epp.config.flag_values import kind_of
from epp.config.flags import Checked
from epp.config.suggestion import did_you_mean
from epp.errors import ConfigError, Fault
from epp.simulate.draw import GRAMMAR, Draw
from epp.simulate.generators import GENERATORS, Adapters, Generator
from epp.simulate.traces import read_trace, replay
from epp.simulate.workload import Arrival

# Where neither the user nor a trace says: enough for a p99, and what four engines can do of most.
_REQUESTS = 2000
_RATE = 20.0

_FOLDER = Path(__file__).with_name("samples")

# Made up in the two public formats (tests/trace_samples.py), for trying them.
SAMPLES: Mapping[str, Path] = {
    "mooncake-sample": _FOLDER / "mooncake.jsonl",
    "azure-sample": _FOLDER / "azure.csv",
}


def arrivals(workload: str, requests: int | None, rate: float | None, seed: int) -> Iterator[Arrival]:
    """`requests` of `workload` (None: all of a trace, 2,000 of a generator) at a mean of `rate` a second.

    Without a rate it is the trace's own, and 20 of a generator. Equal arguments, equal arrivals. ConfigError
    with all faults at once.
    """
    generator = _generator(workload)
    if generator is None:
        path = SAMPLES.get(workload) or _trace(workload)
        return replay(read_trace(path, requests), requests, rate)
    drawn = generator.arrivals(random.Random(seed), rate or _RATE)
    return islice(drawn, requests or _REQUESTS)


def adapters(workload: str) -> frozenset[str]:
    """The adapters that requests of `workload` may name. ConfigError as `arrivals`."""
    generator = _generator(workload)
    return generator.names if isinstance(generator, Adapters) else frozenset()


def help_text() -> str:
    """Every workload with its parameters and their defaults."""
    lines = ["NAME or NAME:parameter=value,... or the path of a trace", ""]
    for name, generator in GENERATORS.items():
        lines += textwrap.wrap(f"{name}: {_first_line(generator)}", 100, subsequent_indent="    ")
        lines += [
            f"    {parameter}={_shown(value)}  {help}" for parameter, value, help in _parameters(generator)
        ]
    lines += ["", *textwrap.wrap(f"Lengths and times may be: {GRAMMAR}.", 100), ""]
    lines += textwrap.wrap(f"Samples of traces: {', '.join(SAMPLES)}.", 100)
    return "\n".join(lines) + "\n"


def _generator(workload: str) -> Generator | None:
    """The generator that `workload` names, None if it names none."""
    name, colon, parameters = workload.partition(":")
    generator = GENERATORS.get(name)
    if generator is None or not colon:
        return generator
    return _with(generator, workload, parameters.split(","))


def _with(generator: Generator, workload: str, parameters: list[str]) -> Generator:
    types = get_type_hints(type(generator))
    known = {field.name: types[field.name] for field in fields(generator)}
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        try:
            values[name] = _read(name, text, known)
        except ValueError as error:
            faults.append(_fault(workload, name, str(error)))
    changed = replace(generator, **values)
    if isinstance(changed, Checked) and not faults:
        faults = [_fault(workload, each.flags[0], each.message) for each in changed.complaints()]
    if faults:
        raise ConfigError(faults)
    return changed


def _read(name: str, text: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        near = did_you_mean(name, known)
        raise ValueError(f"is no parameter; there are {', '.join(known)}{near}")
    return Draw(text) if known[name] is Draw else kind_of(known[name]).read(text)


def _trace(workload: str) -> Path:
    path = Path(workload)
    if not path.exists():
        known = (*GENERATORS, *SAMPLES)
        near = did_you_mean(workload.partition(":")[0], known)
        raise ConfigError([_fault(workload, "", f"is neither a file nor one of {', '.join(known)}{near}")])
    return path


def _parameters(generator: Generator) -> list[tuple[str, Any, str]]:
    return [
        (field.name, getattr(generator, field.name), field.metadata["help"]) for field in fields(generator)
    ]


def _first_line(generator: Generator) -> str:
    return (type(generator).__doc__ or "").partition("\n")[0]


def _shown(value: Any) -> str:
    return value.text if isinstance(value, Draw) else str(value)


def _fault(workload: str, place: str, message: str) -> Fault:
    return Fault(f"--workload {workload}", 0, place, message)
