"""What the tables of a report show: for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from math import isnan
from typing import Generic, TypeVar

from epp.simulate.measures import Distribution, Measures, PriorityClass

T = TypeVar("T")
K = TypeVar("K")

# Policies that know what no picker can: shown beside the others, and never the best.
BOUNDS = frozenset({"oracle"})

UNKNOWN = "-"


class Better(Enum):
    """Which end of a column is the good one."""

    LOWER = -1
    NEITHER = 0
    HIGHER = 1


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One number of each row. `group` is a heading over columns beside each other, "" for none."""

    group: str
    name: str
    meaning: str  # a clause that ends the sentence "It is ..."; "" if the group's first column says it
    value: Callable[[T], float]
    show: Callable[[float], str]
    better: Better = Better.NEITHER

    @property
    def heading(self) -> str:
        """With its group, for where it stands alone: "TTFT p90, ms"."""
        group, comma, unit = self.group.partition(",")
        return f"{group} {self.name}{comma}{unit}".strip()

    def cell(self, row: T) -> str:
        """How a row's number reads."""
        value = self.value(row)
        return UNKNOWN if isnan(value) else self.show(value)

    def best(self, rows: Mapping[K, T]) -> list[K]:
        """The keys of the best of `rows`, all that read like it; none if all read the same."""
        known = {key: row for key, row in rows.items() if not isnan(self.value(row))}
        cells = {key: self.cell(row) for key, row in known.items()}
        if self.better is Better.NEITHER or len(set(cells.values())) < 2:
            return []
        first = max(known, key=lambda key: self.better.value * self.value(known[key]))
        return [key for key, cell in cells.items() if cell == cells[first]]


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """`keys` name the first columns, which tell the rows apart."""

    title: str
    keys: tuple[str, ...]
    columns: tuple[Column[T], ...]
    rows: Mapping[tuple[str, ...], T]

    def cells(self, key: tuple[str, ...]) -> list[str]:
        """A row's numbers."""
        return [column.cell(self.rows[key]) for column in self.columns]

    def best(self) -> set[tuple[tuple[str, ...], int]]:
        """Row and column of each best number. Policies compete where the other keys of their rows agree.

        What reads the same is equally good, and nothing is the best where all read the same.
        """
        rivals: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for key in self.rows:
            if key[0] not in BOUNDS:
                rivals.setdefault(key[1:], []).append(key)
        return {
            (key, number)
            for keys in rivals.values()
            for number, column in enumerate(self.columns)
            for key in column.best({key: self.rows[key] for key in keys})
        }


def tables(runs: Mapping[str, Measures]) -> list[Table[Measures] | Table[PriorityClass]]:
    """What clients got, how the pool did it, and, if there is more than one, what each priority got."""
    policies: dict[tuple[str, ...], Measures] = {(name,): measures for name, measures in runs.items()}
    classes: dict[tuple[str, ...], PriorityClass] = {
        (name, priority): each
        for name, measures in runs.items()
        for priority, each in measures.priorities.items()
    }
    found: list[Table[Measures] | Table[PriorityClass]] = [
        Table("What clients got", ("policy",), _CLIENTS, policies),
        Table("How the pool did it", ("policy",), _POOL, policies),
    ]
    if len({priority for _, priority in classes}) > 1:
        found.append(Table("By priority", ("policy", "priority"), _PRIORITIES, classes))
    return found


def ranking(column: Column[T], rows: Mapping[str, T]) -> list[str]:
    """The policies that `column` says something of, the best first; bounds are none."""
    known = (name for name, row in rows.items() if name not in BOUNDS and not isnan(column.value(row)))
    return sorted(known, key=lambda name: -column.better.value * column.value(rows[name]))


def percent(share: float) -> str:
    """A share from 0 to 1 for people."""
    return f"{share:.1%}"


def _times(
    group: str, meaning: str, of: Callable[[T], Distribution], show: Callable[[float], str]
) -> tuple[Column[T], ...]:
    def column(name: str, said: str = "") -> Column[T]:
        return Column(group, name, said, lambda row: of(row)[name], show, Better.LOWER)

    return column("p50", meaning), column("p90"), column("p99")


def _milliseconds(digits: int) -> Callable[[float], str]:
    return lambda seconds: f"{1000 * seconds:,.{digits}f}"


def _fixed(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{digits}f}"


_CLIENTS: tuple[Column[Measures], ...] = (
    Column(
        "",
        "in SLO",
        "the share of all requests whose answer kept the SLO",
        lambda m: m.in_slo,
        percent,
        Better.HIGHER,
    ),
    Column(
        "",
        "good/s",
        "how many of those a second, while requests arrive",
        lambda m: m.goodput,
        _fixed(2),
        Better.HIGHER,
    ),
    *_times("TTFT, ms", "from arrival to the first token", lambda m: m.ttft, _milliseconds(0)),
    *_times("TPOT, ms", "the mean time from token to token of an answer", lambda m: m.tpot, _milliseconds(1)),
    *_times("latency, s", "from arrival to the last token", lambda m: m.latency, _fixed(1)),
    Column(
        "",
        "shed",
        "requests that the picker refused",
        lambda m: sum(m.shed.values()),
        _fixed(0),
        Better.LOWER,
    ),
)

_POOL: tuple[Column[Measures], ...] = (
    Column("", "req/s", "answers a second", lambda m: m.requests_per_second, _fixed(2), Better.HIGHER),
    Column(
        "tokens/s",
        "in",
        "tokens of prompts, and of answers",
        lambda m: m.prompt_tokens_per_second,
        _fixed(0),
    ),
    Column("tokens/s", "out", "", lambda m: m.output_tokens_per_second, _fixed(0), Better.HIGHER),
    Column(
        "prefix hits",
        "found",
        "the share of prompt tokens that were in the engine's cache, and what would have been in one endless "
        "cache that all engines share",
        lambda m: m.prefix_hit_rate,
        percent,
        Better.HIGHER,
    ),
    Column("prefix hits", "ideal", "", lambda m: m.ideal_hit_rate, percent),
    Column(
        "",
        "imbalance",
        "the requests of the fullest engine at each moment, on average over time, against those of the mean "
        "engine",
        lambda m: m.imbalance,
        _fixed(2),
        Better.LOWER,
    ),
    Column(
        "",
        "preempted",
        "how often a request lost its KV blocks and began again",
        lambda m: m.preemptions,
        _fixed(0),
        Better.LOWER,
    ),
    Column(
        "",
        "adapter loads",
        "how often an adapter was loaded into a slot",
        lambda m: m.adapter_loads,
        _fixed(0),
        Better.LOWER,
    ),
)

_PRIORITIES: tuple[Column[PriorityClass], ...] = (
    Column("", "requests", "", lambda c: c.requests, _fixed(0)),
    Column("", "shed", "", lambda c: c.shed, _fixed(0)),
    Column("", "in SLO", "", lambda c: c.in_slo, percent, Better.HIGHER),
    *_times("TTFT, ms", "", lambda c: c.ttft, _milliseconds(0)),
)

# What a report says first: by heading.
_FIRST = ("in SLO", "TTFT p90, ms", "TPOT p90, ms", "tokens/s out")
HEADLINES = tuple(column for column in (*_CLIENTS, *_POOL) if column.heading in _FIRST)
