"""One model server's engine in virtual time: continuous batching as vLLM's scheduler does it.

Pure and deterministic: time is an argument, and the only method that lets it pass is `step`. Whoever drives
the engine, in real time or in a discrete-event simulation, calls

    engine.submit(request, now)
    result = engine.step(now)         # now >= the end of the step before

and again at `result.ends_at`, until that is None: nothing to do before the next `submit`.

Who needs no single tokens may leap: `leap`, after a `step`, says until when nothing but decoding will happen,
and `step` is called again only then. `catch_up` brings the state to a moment in between, exactly as stepping
would have; `submit` does so itself, and may call the rest of a leap off, so `due` is to be asked again.

The rules, those of vLLM's default scheduler:

- A step takes first the running sequences in order of admission, then waiting ones in order of arrival, as
  far as the token budget, the batch size and the KV blocks go. A prompt longer than what is left of the
  budget is prefilled in chunks.
- A running sequence that finds no block preempts the one admitted last, which starts again at the front
  of the queue, with what the prefix cache still has; after a preemption nothing waiting is admitted.
- A sequence whose adapter finds no slot is passed over ("deferred"); those behind it may overtake.
- Blocks are published to the prefix cache when they are scheduled. The last token of a prompt is always
  computed, for its logits, even if its block is cached.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from epp.sim.adapters import AdapterSlots
from epp.sim.batch import Batch, first_chunk
from epp.sim.kvcache import BlockPool
from epp.sim.leap import Leap, block_edges, foresee
from epp.sim.sequence import Sequence, SimRequest
from epp.sim.steptime import StepTime


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What one server is made of."""

    max_num_seqs: int = 256  # the largest batch that step times were measured for
    max_num_batched_tokens: int = 8192  # likewise the largest step
    num_blocks: int = 28_625  # 458,000 tokens: what 60 GB of KV cache hold at 131,072 bytes a token
    block_size: int = 16  # vLLM's default on GPUs
    max_loras: int = 2
    # 71 MB of a rank-16 adapter: 1.3 ms to copy into the GPU (measured), the rest an assumption: a local disk
    # read at about 1.5 GB/s. vLLM's cache in host memory is by default no larger than its slots.
    lora_load_seconds: float = 0.05
    step_time: StepTime = field(default_factory=StepTime)

    @property
    def max_tokens(self) -> int:
        """The longest sequence, prompt and output, that fits into the KV cache."""
        return self.num_blocks * self.block_size


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the step that has ended gave, and when the one that has begun ends.

    `tokens`: the sequences that got one output token each; those that are finished with it are in `finished`
    as well. `batched_tokens`: tokens computed in the ended step, 0 if there was none.
    """

    ends_at: float | None
    tokens: list[Sequence]
    finished: list[Sequence]
    batched_tokens: int


@dataclass(slots=True)
class EngineCounters:
    """What has happened since the start; tokens, not requests, where not said otherwise."""

    steps: int = 0  # begun
    prefix_queries: int = 0
    prefix_hits: int = 0
    preemptions: int = 0  # times a sequence was put back
    cancelled: int = 0  # requests
    adapter_loads: int = 0


class Engine:
    """See the module. One at a time: no method may be called from within another."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.counters = EngineCounters()
        self._pool = BlockPool(config.num_blocks)
        self._slots = AdapterSlots(config.max_loras)
        self._waiting: OrderedDict[str, Sequence] = OrderedDict()
        self._running: dict[str, Sequence] = {}  # in order of admission
        # The step under way, as it was put together; in a leap, the first one.
        self._batch = Batch(0)
        self._began_at = 0.0
        self._ends_at: float | None = None
        self._leap: Leap | None = None

    def __repr__(self) -> str:
        return f"Engine({self.running} running, {self.waiting} waiting, KV {self.kv_usage:.3f})"

    @property
    def running(self) -> int:
        """Requests in the batch."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests queued, deferred ones included."""
        return len(self._waiting)

    @property
    def deferred(self) -> int:
        """Queued requests that were passed over for want of an adapter slot."""
        return sum(sequence.deferred for sequence in self._waiting.values())

    @property
    def kv_usage(self) -> float:
        """0..1, the share of KV blocks that requests hold; cached free blocks count as free."""
        return self._pool.usage

    @property
    def blocks_in_use(self) -> int:
        """KV blocks that requests hold."""
        return self._pool.in_use

    @property
    def active_adapters(self) -> tuple[str, ...]:
        """Adapters with a request that is running and has its first token, by age of the oldest such one."""
        if not self._slots.users:
            return ()
        names = (s.request.adapter for s in self._running.values() if s.produced and s.request.adapter)
        return tuple(dict.fromkeys(names))

    @property
    def resident_adapters(self) -> tuple[str, ...]:
        """Adapters in GPU memory, least recently used first."""
        return self._slots.resident

    @property
    def due(self) -> float | None:
        """When to call `step` next; None: when there is a request again."""
        return self._leap.end(self._leap.steps) if self._leap else self._ends_at

    # For whoever foresees what the engine will do; in a leap, to be asked after `catch_up`.

    @property
    def batch(self) -> Collection[Sequence]:
        """The running sequences, in order of admission."""
        return self._running.values()

    @property
    def queue(self) -> Collection[Sequence]:
        """The waiting sequences, first in line first."""
        return self._waiting.values()

    @property
    def pool(self) -> BlockPool:
        """Its KV blocks, to look at."""
        return self._pool

    @property
    def adapter_users(self) -> Mapping[str, int]:
        """How many running sequences each adapter in GPU memory has, least recently used first."""
        return self._slots.users

    @property
    def step_ends_at(self) -> float | None:
        """The end of the step under way."""
        return self._leap.end(self._leap.taken + 1) if self._leap else self._ends_at

    def submit(self, request: SimRequest, now: float) -> Sequence:
        """Queues `request`. ValueError if its id is here already or if it could never run."""
        self.catch_up(now)
        if request.id in self._waiting or request.id in self._running:
            raise ValueError(f"request {request.id} is here already")
        if request.prompt_tokens < 1 or request.output_tokens < 1:
            raise ValueError("a request has at least one token of prompt and one of output")
        if request.prompt_tokens + request.output_tokens > self.config.max_tokens:
            raise ValueError(
                f"prompt and output are longer than the KV cache, {self.config.max_tokens} tokens"
            )
        if request.adapter and not self.config.max_loras:
            raise ValueError("no adapter can run here: max_loras is 0")
        if self._leap and not self._leap.closed:
            self._call_off()
        sequence = self._waiting[request.id] = Sequence(request, arrived_at=now)
        return sequence

    def cancel(self, request_id: str) -> bool:
        """Forgets a request and gives back all it holds; False if it is not, or no longer, here.

        In a leap, to be called after `catch_up`.
        """
        sequence = self._waiting.pop(request_id, None)
        if sequence is None:
            sequence = self._running.get(request_id)
            if sequence is None:
                return False
            self._leave_batch(sequence)
        if self._leap:
            self._call_off()
        self.counters.cancelled += 1
        return True

    def step(self, now: float) -> StepResult:
        """Ends the step under way, if there is one, and begins the next at `now`."""
        if self._leap:
            self._decode(self._leap, self._leap.steps - 1)
            self._leap = None
        tokens, batched = self._complete(now)
        finished = [sequence for sequence in tokens if sequence.finished]
        for sequence in finished:
            self._leave_batch(sequence)
        seconds = self._begin(now)
        self._began_at = now
        self._ends_at = None if seconds is None else now + seconds
        return StepResult(self._ends_at, tokens, finished, batched)

    def leap(self) -> float | None:
        """Foresees steps, as many as only give each running sequence a token. Returns `due`."""
        batch, running = self._batch, self._running.values()
        steps, closed = foresee(batch, running, self._waiting.values(), self._slots, self._pool, self.config)
        if steps > 1 and self._ends_at is not None and self._ends_at > self._began_at:
            read = self.config.step_time.decode_seconds
            longer = read(batch.context + batch.decodes) - read(batch.context)
            self._leap = Leap(self._began_at, steps, self._ends_at - self._began_at, longer, closed)
        return self.due

    def catch_up(self, now: float) -> None:
        """Takes the steps of a leap that end before `now`."""
        if self._leap:
            self._decode(self._leap, self._leap.ended_before(now))

    def _complete(self, now: float) -> tuple[list[Sequence], int]:
        tokens = []
        batched = 0
        for sequence in self._running.values():
            batched += sequence.scheduled
            sequence.computed += sequence.scheduled
            if sequence.scheduled and sequence.computed == sequence.length:
                sequence.add_tokens(now)
                tokens.append(sequence)
            sequence.scheduled = 0
        return tokens, batched

    def _begin(self, now: float) -> float | None:
        """Puts the next step together; its seconds, None if there is nothing to do."""
        batch = Batch(budget=self.config.max_num_batched_tokens)
        if self._schedule_running(batch):
            self._admit_waiting(batch, now)
        self._batch = batch
        if not batch.decodes and not batch.prefills:
            return None
        self.counters.steps += 1
        step_seconds = self.config.step_time.step_seconds(batch.decodes, batch.context, batch.prefills)
        return batch.load_seconds + step_seconds

    def _schedule_running(self, batch: Batch) -> bool:
        """Gives each running sequence its tokens; False if one was preempted."""
        block_size = self.config.block_size
        preempted = False
        for sequence in list(self._running.values()):
            if not batch.budget:
                break
            if preempted and sequence.request.id not in self._running:
                return False  # for the sake of one before it, and so are all behind it
            tokens = sequence.length - sequence.computed
            if tokens > batch.budget:
                tokens = batch.budget
            end = sequence.computed + tokens
            while end > sequence.table.blocks * block_size:  # seldom: once in `block_size` steps of decoding
                if self._pool.grow(sequence.table, self._blocks(end)):
                    break
                last = next(reversed(self._running.values()))
                self._preempt(last)
                preempted = True
                if last is sequence:
                    return False
            self._schedule(sequence, tokens, batch)
        return True

    def _admit_waiting(self, batch: Batch, now: float) -> None:
        refused: set[str] = set()  # slots only fill up in here, so once refused is refused for this step
        admitted: list[Sequence] = []
        for sequence in self._waiting.values():
            if not batch.budget or len(self._running) >= self.config.max_num_seqs:
                break
            adapter = sequence.request.adapter
            if adapter not in refused and not self._slots.can_take(adapter):
                refused.add(adapter)
            sequence.deferred = adapter in refused
            if sequence.deferred:
                continue
            tokens = self._open(sequence, batch.budget)
            if not tokens:
                break
            admitted.append(sequence)
            self._running[sequence.request.id] = sequence
            if self._slots.take(adapter):
                self.counters.adapter_loads += 1
                batch.load_seconds += self.config.lora_load_seconds
            if sequence.scheduled_at is None:
                sequence.scheduled_at = now
            self._schedule(sequence, tokens, batch)
        for sequence in admitted:
            del self._waiting[sequence.request.id]

    def _open(self, sequence: Sequence, budget: int) -> int:
        """Gives a waiting sequence its first blocks; the tokens it may compute now, 0 if blocks are short."""
        matched, tokens = first_chunk(sequence, self._pool, self.config.block_size, budget)
        cached = matched * self.config.block_size
        table = self._pool.open_table(sequence.request.block_hashes, matched, self._blocks(cached + tokens))
        if table is None:
            return 0
        sequence.table = table
        sequence.computed = cached
        if not sequence.preemptions:
            sequence.cached_tokens = cached
            self.counters.prefix_queries += sequence.length
            self.counters.prefix_hits += cached
        return tokens

    def _schedule(self, sequence: Sequence, tokens: int, batch: Batch) -> None:
        sequence.scheduled = tokens
        batch.add(tokens, sequence.computed)
        self._publish(sequence, sequence.computed + tokens)

    def _publish(self, sequence: Sequence, end: int) -> None:
        full = end // self.config.block_size
        if full > sequence.table.published:
            self._pool.publish(sequence.table, sequence.request.block_hashes, full)

    # Leaps -----------------------------------------------------------------------------------------------

    def _decode(self, leap: Leap, taken: int) -> None:
        """Brings the state to when `taken` steps of `leap` have ended and the next is under way."""
        steps = taken - leap.taken
        if not steps:
            return
        for sequence, tokens in block_edges(self._running.values(), steps, self.config.block_size):
            self._pool.grow(sequence.table, self._blocks(tokens))
            self._publish(sequence, tokens)
        now, before = leap.end(taken), leap.end(taken - 1)
        for sequence in self._running.values():
            sequence.computed += steps
            if steps > 1:
                sequence.last_token_at = before
            sequence.add_tokens(now, steps)
        self.counters.steps += steps
        leap.taken = taken

    def _call_off(self) -> None:
        """The step under way is the last of the leap."""
        assert self._leap
        self._ends_at = self._leap.end(self._leap.taken + 1)
        self._leap = None

    # ------------------------------------------------------------------------------------------------------

    def _preempt(self, sequence: Sequence) -> None:
        self._leave_batch(sequence)
        sequence.computed = sequence.scheduled = 0
        sequence.preemptions += 1
        self.counters.preemptions += 1
        self._waiting[sequence.request.id] = sequence
        self._waiting.move_to_end(sequence.request.id, last=False)

    def _leave_batch(self, sequence: Sequence) -> None:
        del self._running[sequence.request.id]
        self._pool.close_table(sequence.table)
        self._slots.give_back(sequence.request.adapter)

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.config.block_size)
