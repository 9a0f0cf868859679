"""A search for weights and parameters of plugins: every combination, or a sample of them, on one workload.

base: default                    # a policy's name or file, as --policy takes it; this is the default
objective: goodput               # then p90 TTFT; or ttft, or tpot, then goodput
samples: 200                     # of the combinations, at random; without: all of them
weights:                         # by the name of a scorer in the base
  prefix-cache-scorer: [1, 3, 5]
  active-request-scorer: [0, 2, 4]
parameters:                      # by the name of a plugin in the base, and of its parameter
  prefix-cache-scorer:
    blockSizeTokens: [16, 64]
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from epp.config.constraints import Length, Range, Unique, quote
from epp.config.document import Faults, MapNode, Node, child_path, item_path, parse_document, read_text
from epp.config.fields import Place
from epp.config.picker_config import PickerConfig, PluginRef, PluginSpec, ProfileSpec
from epp.config.picker_file import Weight
from epp.config.schema import Raw, read_fields
from epp.config.suggestion import did_you_mean
from epp.config.writing import written
from epp.datastore.store import Datastore
from epp.errors import ConfigError
from epp.scheduling.build import build_policy
from epp.simulate.measures import Measures

# Runs of one sweep. At a few seconds each this is a working day on two CPUs.
MAX_RUNS = 10_000

_Values = Annotated[tuple[Weight, ...], Length(1, 100), Unique()]
_Objective = Literal["goodput", "ttft", "tpot"]


@dataclass(frozen=True, slots=True)
class SweepFile:
    """The whole document."""

    base: str = "default"
    objective: _Objective = "goodput"
    samples: Annotated[int, Range(1, MAX_RUNS)] | None = None
    weights: Mapping[str, _Values] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Annotated[tuple[Raw, ...], Length(1, 100)]]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class WeightOf:
    """A scorer's weight, in every profile that has the scorer."""

    plugin: str

    def __str__(self) -> str:
        return self.plugin

    def of(self, config: PickerConfig) -> Any:
        """What it is in `config`."""
        return next(ref.weight for profile in config.profiles for ref in profile.plugins if self._is(ref))

    def set(self, config: PickerConfig, weight: Any) -> PickerConfig:
        """`config` with another one."""

        def changed(profile: ProfileSpec) -> ProfileSpec:
            refs = (replace(ref, weight=weight) if self._is(ref) else ref for ref in profile.plugins)
            return replace(profile, plugins=tuple(refs))

        return replace(config, profiles=tuple(map(changed, config.profiles)))

    def _is(self, ref: PluginRef) -> bool:
        return ref.name == self.plugin


@dataclass(frozen=True, slots=True)
class ParameterOf:
    """A plugin's parameter: its key in documents, its name in the class, and its type."""

    plugin: str
    key: str
    name: str
    kind: Any

    def __str__(self) -> str:
        return f"{self.plugin}.{self.key}"

    def of(self, config: PickerConfig) -> Any:
        """What it is in `config`, as documents have it."""
        spec = next(spec for spec in config.plugins if spec.name == self.plugin)
        return written(self.kind, spec.arguments[self.name])

    def set(self, config: PickerConfig, value: Any) -> PickerConfig:
        """`config` with another one."""

        def changed(spec: PluginSpec) -> PluginSpec:
            if spec.name != self.plugin:
                return spec
            return replace(spec, arguments={**spec.arguments, self.name: value})

        return replace(config, plugins=tuple(map(changed, config.plugins)))


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing to vary, with the values to try."""

    what: WeightOf | ParameterOf
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep whose every configuration can be built."""

    base_name: str
    base: PickerConfig
    objective: _Objective
    axes: tuple[Axis, ...]
    variants: tuple[PickerConfig, ...]  # without the base

    def settings(self, config: PickerConfig) -> list[tuple[str, str]]:
        """What `config` has where the sweep varies something: what it is, and its value."""
        return [(str(axis.what), _shown(axis.what.of(config))) for axis in self.axes]

    def rank(self, measures: Measures) -> tuple[float, float]:
        """Smaller is better."""
        # Three digits: what differs in the fourth is when the last answer happened to end.
        goodput = -float(f"{measures.goodput:.3g}")
        if self.objective == "goodput":
            return goodput, _known(measures.ttft["p90"])
        return _known((measures.ttft if self.objective == "ttft" else measures.tpot)["p90"]), goodput


def load_sweep(path: str, seed: int, load: Callable[[str], PickerConfig]) -> Sweep:
    """The sweep in the file at `path`; ConfigError with every fault in it and in its base.

    `load` reads a policy by name; `seed` draws the sample.
    """
    faults = Faults(path)
    root = parse_document(read_text(Path(path), path), faults)
    values = read_fields(SweepFile, root, faults) if root else {}
    file = SweepFile(**values)
    try:
        base = load(file.base)
    except ConfigError as error:
        raise ConfigError([*faults.found, *error.faults]) from error
    assert isinstance(root, MapNode) or faults.found
    axes = [*_weights(file, root, base, faults), *_parameters(file, root, base, faults)]
    total = math.prod(len(axis.values) for axis in axes)
    if not axes and not faults.found:
        faults.add(1, "", "has neither weights nor parameters to try")
    if total > MAX_RUNS and file.samples is None:
        faults.add(
            1, "samples", f"is missing: there are {total} combinations, and at most {MAX_RUNS} are run"
        )
    faults.raise_any()
    chosen = _chosen(axes, total, file.samples, random.Random(seed))
    variants = tuple(_variants(base, axes, chosen, faults))
    faults.raise_any()
    return Sweep(file.base, base, file.objective, tuple(axes), variants)


def _weights(file: SweepFile, root: Node | None, base: PickerConfig, faults: Faults) -> Iterator[Axis]:
    scorers = {spec.name for spec in base.plugins if "scorer" in spec.type.kinds}
    used = {ref.name for profile in base.profiles for ref in profile.plugins}
    for name, values in file.weights.items():
        place = _key_place(root, "weights", name)
        spec = _plugin(name, base, place, faults)
        if spec is None:
            continue
        if name not in scorers:
            faults.add(place.line, place.path, f"{quote(name)} has no weight: it is no scorer")
        elif name not in used:
            faults.add(place.line, place.path, f"{quote(name)} is in no profile of {base.file}")
        else:
            yield Axis(WeightOf(name), values)


def _parameters(file: SweepFile, root: Node | None, base: PickerConfig, faults: Faults) -> Iterator[Axis]:
    for name, parameters in file.parameters.items():
        place = _key_place(root, "parameters", name)
        spec = _plugin(name, base, place, faults)
        for key, nodes in parameters.items() if spec is not None else ():
            assert spec is not None
            path = child_path(place.path, key)
            known = {each.key: each for each in spec.type.fields}
            if key not in known:
                line = _key_place(root, "parameters", name, key).line
                faults.add(line, path, f"{spec.type.name} has no such parameter{did_you_mean(key, known)}")
                continue
            one = known[key]
            read = [_value(spec, one.key, node, item_path(path, i), faults) for i, node in enumerate(nodes)]
            yield Axis(
                ParameterOf(name, key, one.name, one.kind),
                tuple(each[one.name] for each in read if one.name in each),
            )


def _value(spec: PluginSpec, key: str, node: Any, path: str, faults: Faults) -> dict[str, Any]:
    """The value as the plugin's class takes it, by name; empty if it is none, with a fault."""
    own = Faults(faults.file)
    required = {each.key for each in spec.type.fields if each.required}
    entry = MapNode(node.line, {key: node}, {key: node.line})
    arguments = spec.type.read(entry, own, "")
    for fault in own.found:
        if fault.path == key or fault.path not in required:
            inner = fault.path.removeprefix(key)
            faults.add(fault.line, path + inner, fault.message)
    return arguments


def _plugin(name: str, base: PickerConfig, place: Place, faults: Faults) -> PluginSpec | None:
    specs = {spec.name: spec for spec in base.plugins}
    if name not in specs:
        hint = did_you_mean(name, specs)
        faults.add(place.line, place.path, f"{quote(name)} is no plugin of {base.file}{hint}")
    return specs.get(name)


def _key_place(root: Node | None, *keys: str) -> Place:
    """Where the key is that one comes to by `keys`."""
    path, line, node = "", 0, root
    for key in keys:
        path = child_path(path, key)
        if isinstance(node, MapNode) and key in node.entries:
            line, node = node.key_lines[key], node.entries[key]
    return Place(line, path)


def _chosen(
    axes: Sequence[Axis], total: int, samples: int | None, rng: random.Random
) -> Iterator[tuple[Any, ...]]:
    """Combinations of values, in the order of the grid, or as they are drawn: each once."""
    if samples is None or samples >= total:
        yield from itertools.product(*(axis.values for axis in axes))
        return
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < samples:
        one = tuple(rng.randrange(len(axis.values)) for axis in axes)
        if one not in drawn:
            drawn.add(one)
            yield tuple(axis.values[index] for axis, index in zip(axes, one, strict=True))


def _variants(
    base: PickerConfig, axes: Sequence[Axis], chosen: Iterator[tuple[Any, ...]], faults: Faults
) -> Iterator[PickerConfig]:
    told: set[str] = set()
    for values in chosen:
        config = base
        for axis, value in zip(axes, values, strict=True):
            config = axis.what.set(config, value)
        if config == base:
            continue
        objection = _objection(config)
        if objection is None:
            yield config
        elif objection not in told:
            told.add(objection)
            faults.add(1, "", f"a combination cannot be: {objection}")


def _objection(config: PickerConfig) -> str | None:
    """Why nothing can be made of `config`."""
    try:
        build_policy(config, Datastore(), staleness=1.0)
    except ConfigError as error:
        return "; ".join(f"{fault.path}: {fault.message}" for fault in error.faults)
    return None


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _known(value: float) -> float:
    return math.inf if math.isnan(value) else value
