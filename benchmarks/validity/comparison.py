"""What the same policies came to in both worlds, side by side. Pure arithmetic, and the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations
from statistics import median

import numpy as np


@dataclass(frozen=True, slots=True)
class Answered:
    """What one request got: from whom, and the seconds to its first token and to its last."""

    server: str
    ttft: float
    latency: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One policy over the workload, once. Seconds; shares from 0 to 1."""

    ttft: float  # mean
    ttft_p90: float
    latency: float  # mean
    hit_rate: float  # of prompt tokens
    fullest: float  # requests of the server that got most, against the mean of all


@dataclass(frozen=True, slots=True)
class Compared:
    """One policy in both worlds, each as often as it was run."""

    real: list[Figures] = field(default_factory=list)
    simulated: list[Figures] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Of the mean TTFTs, the middle ones: real to simulated."""
        return middle(self.real).ttft / middle(self.simulated).ttft


def figures(answers: Sequence[Answered], servers: int, hit_rate: float) -> Figures:
    """Of one run on so many servers."""
    ttfts = [answer.ttft for answer in answers]
    most = max(Counter(answer.server for answer in answers).values())
    return Figures(
        ttft=float(np.mean(ttfts)),
        ttft_p90=float(np.percentile(ttfts, 90)),
        latency=float(np.mean([answer.latency for answer in answers])),
        hit_rate=hit_rate,
        fullest=most * servers / len(answers),
    )


def middle(runs: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return Figures(*(median(getattr(run, each.name) for run in runs) for each in fields(Figures)))


def swapped(policies: Mapping[str, Compared]) -> Iterator[tuple[str, str]]:
    """Pairs of policies that come in another order, by mean TTFT, in reality: (better there, worse there)."""
    for pair in combinations(policies, 2):
        better, worse = sorted(pair, key=lambda name: middle(policies[name].real).ttft)
        if middle(policies[better].simulated).ttft > middle(policies[worse].simulated).ttft:
            yield better, worse


def table(policies: Mapping[str, Compared]) -> str:
    """Markdown: a line for each policy, real / simulated in each cell, medians of all runs."""
    lines = [
        "| policy | mean TTFT ms | range of the real | ratio | p90 ms | hits | fullest |",
        "|---|---|---|---|---|---|---|",
        *(f"| `{name}` | {_cells(compared)} |" for name, compared in policies.items()),
    ]
    pairs = len(policies) * (len(policies) - 1) // 2
    others = list(swapped(policies))
    lines += ["", f"Order by mean TTFT: {pairs - len(others)} of {pairs} pairs of policies agree."]
    lines += [f"Not so: `{better}` before `{worse}` in reality." for better, worse in others]
    return "\n".join(lines) + "\n"


def _cells(compared: Compared) -> str:
    real, simulated = middle(compared.real), middle(compared.simulated)
    means = [run.ttft for run in compared.real]
    return " | ".join(
        (
            f"{_ms(real.ttft)} / {_ms(simulated.ttft)}",
            f"{_ms(min(means))} to {_ms(max(means))}",
            f"{compared.ratio:.2f}",
            f"{_ms(real.ttft_p90)} / {_ms(simulated.ttft_p90)}",
            f"{real.hit_rate:.0%} / {simulated.hit_rate:.0%}",
            f"{real.fullest:.2f} / {simulated.fullest:.2f}",
        )
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f}"
