"""A request as the engine sees it, and on its way through the engine."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

from epp.sim.kvcache import BlockTable


@dataclass(frozen=True, slots=True)
class SimRequest:
    """What is asked of the engine.

    `block_hashes`: chained hashes of the full blocks of prompt and output, as far as they are known; what has
    no hash is never found in the prefix cache. `adapter` "" is the base model.
    """

    id: str
    prompt_tokens: int
    output_tokens: int
    block_hashes: Seq[int] = ()
    adapter: str = ""


@dataclass(slots=True, eq=False)
class Sequence:
    """A request on its way through the engine. For everybody else to read, for the engine alone to change.

    Times are the engine's; None: not yet.
    """

    request: SimRequest
    arrived_at: float
    scheduled_at: float | None = None  # first admitted to the batch
    first_token_at: float | None = None
    last_token_at: float | None = None
    token_gap: float = 0.0  # between the two latest tokens
    cached_tokens: int = 0  # of the prompt, found in the prefix cache when first admitted
    produced: int = 0  # output tokens so far
    length: int = field(init=False)  # tokens known so far: the prompt and what was produced
    computed: int = 0  # tokens whose keys and values are in the cache
    preemptions: int = 0
    deferred: bool = False  # waits for an adapter slot
    scheduled: int = field(default=0, repr=False)  # tokens of the step under way
    table: BlockTable = field(default_factory=BlockTable, repr=False)

    def __post_init__(self) -> None:
        self.length = self.request.prompt_tokens

    @property
    def finished(self) -> bool:
        """Whether the last token is out."""
        return self.produced >= self.request.output_tokens

    def add_tokens(self, now: float, tokens: int = 1) -> None:
        """Notes more tokens of output, the last of them at `now`."""
        if self.last_token_at is None:
            self.first_token_at = now
        else:
            self.token_gap = now - self.last_token_at
        self.last_token_at = now
        self.produced += tokens
        self.length += tokens
