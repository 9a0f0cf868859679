"""The settings of `epp sim`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from epp.config.flags import Complaint, Seconds, flag
from epp.sim.engine import EngineConfig
from epp.sim.faults import Faults

_ENGINE = EngineConfig()

_AT_LEAST_ONE = ("servers", "max_num_seqs", "max_num_batched_tokens", "num_blocks", "block_size", "die_after")


@dataclass(frozen=True, slots=True)
class SimSettings:
    """How many servers, what they serve, how large and how fast they are, and what is wrong with them."""

    servers: int = flag(3, heading="Servers", help="How many vLLM servers to simulate.")
    port: int = flag(
        8001,
        help="Port of the first server, the others follow; 0 takes free ports. 8000 is left to a real vLLM.",
    )
    host: str = flag("127.0.0.1", help="Address to listen on.")
    model: str = flag("meta-llama/Llama-3.1-8B-Instruct", help="Name of the base model.")
    adapters: tuple[str, ...] = flag(
        ("food-review", "cad-fabricator"), help="Names of the LoRA adapters that are there from the start."
    )

    max_num_seqs: int = flag(_ENGINE.max_num_seqs, heading="Engine", help="Requests in a batch, at most.")
    max_num_batched_tokens: int = flag(_ENGINE.max_num_batched_tokens, help="Tokens in a step, at most.")
    num_blocks: int = flag(
        _ENGINE.num_blocks,
        help="KV blocks of a server; the default is what an H100 80GB has left beside the model.",
    )
    block_size: int = flag(_ENGINE.block_size, help="Tokens in a KV block.")
    max_loras: int = flag(_ENGINE.max_loras, help="Adapters in memory at a time.")
    lora_load_time: Seconds = flag(
        Seconds(_ENGINE.lora_load_seconds),
        help="Time to load an adapter into its slot; the step waits for it.",
    )
    time_scale: float = flag(1.0, help="Simulated seconds per real second: larger is faster.")

    fail_rate: float = flag(0.0, heading="Faults", help="Share of requests, 0 to 1, that get a 500.")
    hang_rate: float = flag(0.0, help="Share of requests, 0 to 1, that get no answer.")
    die_after: int | None = flag(None, help="Requests after which a server is gone; unset: never.")
    seed: int = flag(0, help="Seed of the faults' chance.")

    @property
    def engine(self) -> EngineConfig:
        """What each server is made of."""
        return EngineConfig(
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=self.max_num_batched_tokens,
            num_blocks=self.num_blocks,
            block_size=self.block_size,
            max_loras=self.max_loras,
            lora_load_seconds=self.lora_load_time,
        )

    @property
    def faults(self) -> Faults:
        """What is wrong with each server from the start."""
        return Faults(self.fail_rate, self.hang_rate, self.die_after)

    def complaints(self) -> Iterator[Complaint]:
        """Values that no server can be made of."""
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and value < 1:
                yield _complaint(name, "must be at least 1")
        if self.max_num_batched_tokens < self.max_num_seqs:
            # vLLM refuses this too: the end of a full batch would never get a token.
            yield Complaint(
                ("max-num-batched-tokens", "max-num-seqs"), "must not be less than --max-num-seqs"
            )
        for name in ("max_loras", "lora_load_time"):
            if getattr(self, name) < 0:
                yield _complaint(name, "must not be negative")
        if not 0 <= self.port <= 65536 - self.servers:
            yield Complaint(("port", "servers"), f"must leave room for {self.servers} ports up to 65535")
        if not 0 < self.time_scale < float("inf"):
            yield _complaint("time_scale", "must be larger than 0")
        for name in ("fail_rate", "hang_rate"):
            if not 0 <= getattr(self, name) <= 1:
                yield _complaint(name, "must be from 0 to 1")


def _complaint(field: str, message: str) -> Complaint:
    return Complaint((field.replace("_", "-"),), message)
