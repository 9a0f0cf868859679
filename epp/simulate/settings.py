"""The settings of `epp simulate`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from epp.config.flags import Complaint, Seconds, flag
from epp.config.settings import ServeSettings
from epp.simulate.measures import Slo
from epp.simulate.simulation import LAG

_POSITIVE = ("requests", "rate", "engines", "refresh_metrics_interval", "slo_ttft", "slo_tpot", "jobs")


@dataclass(frozen=True, slots=True)
class SimulateSettings:
    """What arrives, who decides, who serves, what is asked, and where the answer goes."""

    workload: str = flag(
        "shared-prefix",
        heading="Workload",
        help="A generator's name, as shared-prefix, chat, adapters or bursts, with parameters if you like "
        "(chat:turns=20); or the path of a trace, Mooncake's .jsonl or Azure's .csv. "
        "--workload help lists all with their parameters.",
    )
    requests: int | None = flag(
        None, help="Requests in all; unset: those of the trace, 2000 of a generator. A short trace is looped."
    )
    rate: float | None = flag(
        None, help="Mean arrivals per second; unset: those of the trace, 20 for a generator."
    )
    seed: int = flag(1, help="Seed of all chance. The same seed gives the same numbers.")

    policy: tuple[str, ...] = flag(
        ("round-robin", "reference", "default"),
        heading="Policies",
        help="What to compare: a name (default, oracle, random, round-robin, least-requests, reference, "
        "reference-1.0, llm-d, sticky-until-saturated) or an EndpointPickerConfig file; "
        "repeat it, or separate by commas.",
    )
    plugin_path: str = flag("", help="Directory with plugins of your own, as epp serve takes it.")
    refresh_metrics_interval: Seconds = flag(
        ServeSettings().refresh_metrics_interval, help="Base interval of scraping, as epp serve takes it."
    )
    scrape_lag: Seconds = flag(Seconds(LAG), help="From an engine's state to when the picker hears of it.")

    engines: int | None = flag(
        None, heading="Engines", help="How many, all alike: Llama-3.1-8B on an H100, as in epp sim. Unset: 4."
    )
    fleet: str = flag(
        "", help="File with groups of engines that differ, or of another GPU or model: see docs/simulate.md."
    )

    slo_ttft: Seconds = flag(
        Seconds(2.0), heading="What is asked", help="Time to the first token that is good."
    )
    slo_tpot: Seconds = flag(Seconds(0.05), help="Mean time per further token that is good.")
    find_knee: bool = flag(
        False,
        help="Find each policy's knee: the highest rate at which --knee-share of all requests get a good "
        "answer. The other numbers are then those at the knee.",
    )
    knee_share: float = flag(
        0.9, help="Share of requests, 0 to 1, that must be good: with 0.9 it is the p90 that keeps the SLO."
    )
    sweep: str = flag(
        "",
        help="File with weights and parameters of plugins to try in every combination: the best are listed.",
    )
    sweep_out: str = flag("", help="File for the sweep's winner, a whole EndpointPickerConfig.")

    html: str = flag("simulate.html", heading="Report", help='File for the page with plots; "" for none.')
    json: str = flag(
        "simulate.json",
        help='File for the numbers; "" for none, - for standard output in place of the table.',
    )
    jobs: int | None = flag(None, help="Processes at work at a time; unset: as many as there are CPUs.")

    @property
    def slo(self) -> Slo:
        """What a good answer keeps."""
        return Slo(self.slo_ttft, self.slo_tpot)

    @property
    def processes(self) -> int:
        """How many may be at work at a time."""
        if self.jobs is not None:
            return self.jobs
        return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be simulated with."""
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                yield _complaint(name, "must be larger than 0")
        if self.scrape_lag < 0:
            yield _complaint("scrape_lag", "must not be negative")
        if not 0 < self.knee_share <= 1:
            yield _complaint("knee_share", "must be more than 0 and at most 1")
        if not self.policy:
            yield _complaint("policy", "names no policy")
        for first, second in (("engines", "fleet"), ("find_knee", "sweep")):
            if getattr(self, first) and getattr(self, second):
                yield Complaint((_flag(first), _flag(second)), f"cannot go together with --{_flag(second)}")
        if self.sweep_out and not self.sweep:
            yield Complaint(("sweep-out", "sweep"), "needs --sweep")


def _complaint(field: str, message: str) -> Complaint:
    return Complaint((_flag(field),), message)


def _flag(field: str) -> str:
    return field.replace("_", "-")
