"""The settings of `epp simulate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from epp.config.flags import Complaint, Seconds, flag
from epp.config.settings import ServeSettings
from epp.sim.engine import EngineConfig
from epp.sim.steptime import StepTime
from epp.simulate.measures import Slo
from epp.simulate.simulation import LAG

_POSITIVE = ("engines", "refresh_metrics_interval", "slo_ttft", "slo_tpot", "slowdown", "max_loras")


@dataclass(frozen=True, slots=True)
class SimulateSettings:
    """What arrives, who decides, who serves, and what counts as good."""

    workload: str = flag(
        "shared-prefix",
        heading="Workload",
        help="A generator (shared-prefix, chat, adapters, bursts, heavy-tailed, priorities), or the path of "
        "a trace: Mooncake's .jsonl or Azure's .csv.",
    )
    requests: int | None = flag(
        None, help="Requests in all; unset: those of the trace, 2000 of a generator. A short trace is looped."
    )
    rate: float | None = flag(
        None, help="Mean arrivals per second; unset: those of the trace, 20 for a generator."
    )
    seed: int = flag(1, help="Seed of all chance.")

    policy: tuple[str, ...] = flag(
        ("reference", "default"),
        heading="Policies",
        help="What to compare, a name (default, random, round-robin, least-requests, reference, "
        "reference-1.0, sticky-until-saturated) or an EndpointPickerConfig file; "
        "repeat it, or separate by commas.",
    )
    plugin_path: str = flag("", help="Directory with plugins of your own, as epp serve takes it.")
    refresh_metrics_interval: Seconds = flag(
        ServeSettings().refresh_metrics_interval, help="Base interval of scraping, as epp serve takes it."
    )
    scrape_lag: Seconds = flag(Seconds(LAG), help="From an engine's state to when the picker hears of it.")

    engines: int = flag(4, heading="Engines", help="How many; each is the engine of epp sim.")
    slow_engines: int = flag(0, help="How many of them are slower than the others.")
    slowdown: float = flag(2.0, help="How many times as long a step of a slow one takes.")
    max_loras: int = flag(EngineConfig().max_loras, help="Adapters in memory at a time.")

    slo_ttft: Seconds = flag(Seconds(2.0), heading="Report", help="Time to the first token that is good.")
    slo_tpot: Seconds = flag(Seconds(0.05), help="Mean time per further token that is good.")
    json: str = flag("", help="File for the numbers; - for standard output, in place of the table.")

    @property
    def slo(self) -> Slo:
        """What a good answer keeps."""
        return Slo(self.slo_ttft, self.slo_tpot)

    @property
    def fleet(self) -> list[EngineConfig]:
        """What each engine is made of; the slow ones first."""
        usual = EngineConfig(max_loras=self.max_loras)
        slow = replace(usual, step_time=slower(usual.step_time, self.slowdown))
        return [slow] * self.slow_engines + [usual] * (self.engines - self.slow_engines)

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be simulated with."""
        for name in (*_POSITIVE, "requests", "rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                yield _complaint(name, "must be larger than 0")
        if not 0 <= self.slow_engines <= self.engines:
            yield Complaint(("slow-engines", "engines"), "must be from 0 to --engines")
        if self.scrape_lag < 0:
            yield _complaint("scrape_lag", "must not be negative")
        if not self.policy:
            yield _complaint("policy", "names no policy")


def slower(step_time: StepTime, factor: float) -> StepTime:
    """A model whose steps take `factor` times as long."""
    return StepTime(
        weights_seconds=step_time.weights_seconds * factor,
        token_seconds=step_time.token_seconds * factor,
        decode_launch_seconds=step_time.decode_launch_seconds * factor,
        kv_bytes_per_token=step_time.kv_bytes_per_token,
        kv_bytes_per_second=step_time.kv_bytes_per_second / factor,
        prefill_launch_seconds=step_time.prefill_launch_seconds * factor,
        first_chunk_pair_seconds=step_time.first_chunk_pair_seconds * factor,
        later_chunk_launch_seconds=step_time.later_chunk_launch_seconds * factor,
        later_chunk_pair_seconds=step_time.later_chunk_pair_seconds * factor,
        host_seconds=step_time.host_seconds * factor,
    )


def _complaint(field: str, message: str) -> Complaint:
    return Complaint((field.replace("_", "-"),), message)
