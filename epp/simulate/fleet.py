"""The engines of a simulation: `--engines` of one kind, or the groups of a file (`--fleet`).

    engines:
      - count: 12                  # as everywhere where nothing else is said
      - count: 4
        name: old
        slowdown: 2                # a step takes twice as long
        maxNumSeqs: 128
        numBlocks: 9000
      - count: 2
        name: other-gpu
        stepTime: {weightsSeconds: 0.0041, tokenSeconds: 11.8e-6, kvBytesPerSecond: 4.6e12}

A group has the fields of EngineConfig (epp/sim/engine.py), and its `stepTime` those of StepTime
(epp/sim/steptime.py), in camelCase; what it leaves out is as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import reduce
from pathlib import Path
from typing import Annotated

from epp.config.constraints import Length, Pattern, Positive, Range
from epp.config.document import Faults, child_path, parse_document, read_text
from epp.config.fields import Place, camel_case
from epp.config.references import refuse_repeated
from epp.config.schema import read_fields
from epp.sim.engine import EngineConfig
from epp.sim.steptime import StepTime

# More than the largest pool that the picker is made for, 5,000, and still far from filling memory.
MAX_ENGINES = 10_000

# What engines are called where nobody says.
_NAME = "engine"

# Numbers of an engine that may be 0: no adapters, or adapters at no cost.
_MAY_BE_0 = ("max_loras", "lora_load_seconds")


@dataclass(frozen=True, slots=True)
class GroupEntry(EngineConfig):
    """An item of `engines`."""

    count: Annotated[int, Range(1, MAX_ENGINES)] = 1
    name: Annotated[str, Pattern("[a-z0-9]([-a-z0-9]{0,40})", "lower-case letters, digits and dashes")] = (
        _NAME
    )
    slowdown: Annotated[float, Positive()] = 1.0
    place: Place = field(default_factory=Place)

    @property
    def engine(self) -> EngineConfig:
        """What each of the group is made of."""
        given = {each.name: getattr(self, each.name) for each in fields(EngineConfig)}
        return EngineConfig(**{**given, "step_time": slower(self.step_time, self.slowdown)})


@dataclass(frozen=True, slots=True)
class FleetFile:
    """The whole document."""

    engines: Annotated[tuple[GroupEntry, ...], Length(1, MAX_ENGINES)]


def alike(count: int) -> dict[str, EngineConfig]:
    """`count` engines of the usual kind, by name."""
    return _named(_NAME, count, EngineConfig())


def load_fleet(path: str) -> dict[str, EngineConfig]:
    """The engines that the file at `path` describes, by name; ConfigError with every fault in it."""
    faults = Faults(path)
    root = parse_document(read_text(Path(path), path), faults)
    groups: tuple[GroupEntry, ...] = read_fields(FleetFile, root, faults).get("engines", ()) if root else ()
    refuse_repeated("name", ((group.name, group.place) for group in groups), faults)
    for group in groups:
        for keys, message in _objections(group):
            faults.add(group.place.line, reduce(child_path, keys, group.place.path), message)
    if sum(group.count for group in groups) > MAX_ENGINES:
        faults.add(0, "engines", f"has more than {MAX_ENGINES} engines in all")
    faults.raise_any()
    return {
        name: engine
        for group in groups
        for name, engine in _named(group.name, group.count, group.engine).items()
    }


def slower(step_time: StepTime, factor: float) -> StepTime:
    """A model whose steps take `factor` times as long."""
    longer = {
        each.name: getattr(step_time, each.name) * factor
        for each in fields(step_time)
        if each.name.endswith("_seconds")
    }
    return replace(step_time, **longer, kv_bytes_per_second=step_time.kv_bytes_per_second / factor)


def _named(group: str, count: int, engine: EngineConfig) -> dict[str, EngineConfig]:
    return {f"{group}-{number}": engine for number in range(count)}


def _objections(group: GroupEntry) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys with numbers that no engine can have, and why."""
    for name, value in _numbers(group, EngineConfig):
        if value < 0 or (value == 0 and name not in _MAY_BE_0):
            yield (camel_case(name),), f"has to be more than 0, not {value:g}"
    for name, value in _numbers(group.step_time, StepTime):
        if value <= 0:
            yield ("stepTime", camel_case(name)), f"has to be more than 0, not {value:g}"
    if group.max_num_batched_tokens < group.max_num_seqs:
        # vLLM refuses this too: the end of a full batch would never get a token.
        yield ("maxNumBatchedTokens",), "must not be less than maxNumSeqs"


def _numbers(holder: object, cls: type[EngineConfig] | type[StepTime]) -> Iterator[tuple[str, float]]:
    for each in fields(cls):
        value = getattr(holder, each.name)
        if isinstance(value, int | float):
            yield each.name, value
