"""When an engine gives a request its first token: its own rules gone through with what it has in hand.

Exact where nothing more comes meanwhile, but for three things: prefixes are those known now, blocks count in
tokens, and nothing is preempted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from epp.sim.engine import Engine
from epp.sim.sequence import Sequence

# Steps, alike ones taken as one, after which a forecast ends; an engine needs them only where its queue is
# minutes long, and then where it ended is as good.
_MOST_STEPS = 400


@dataclass(slots=True)
class Job:
    """One request on its way; tokens."""

    left: int  # to compute before its next token of output
    context: int  # computed
    output: int  # to come
    held: int  # of its KV cache; while it waits: those that others hold anyway
    adapter: str


@dataclass(slots=True)
class _Step:
    budget: int
    jobs: list[tuple[Job, int]] = field(default_factory=list)  # and the tokens that each is given
    decodes: int = 0
    context: int = 0
    prefills: list[tuple[int, int]] = field(default_factory=list)
    load_seconds: float = 0.0

    def give(self, job: Job) -> None:
        tokens = min(job.left, self.budget)
        self.budget -= tokens
        self.jobs.append((job, tokens))
        if tokens == 1:
            self.decodes += 1
            self.context += job.context + 1
        else:
            self.prefills.append((tokens, job.context))


class Forecast:
    """An engine as it is at `now`, and the jobs that wait for it, to be gone through once."""

    def __init__(self, engine: Engine, queue: list[Job], now: float) -> None:
        self._config = engine.config
        self._seconds = max(0.0, (engine.step_ends_at or now) - now)
        self._free = engine.pool.free * engine.config.block_size
        self._users = dict(engine.adapter_users)
        self._queue = queue
        self._running: list[Job] = []
        for sequence in engine.batch:
            self._add(sequence, engine.config.block_size)

    def _add(self, sequence: Sequence, block_size: int) -> None:
        """As it is when the step under way ends."""
        done = sequence.computed + sequence.scheduled
        left, output = sequence.length - done, sequence.request.output_tokens - sequence.produced
        if not left:
            left, output = 1, output - 1
        job = Job(left, done, output, sequence.table.blocks * block_size, sequence.request.adapter)
        if output:
            self._running.append(job)
        else:
            self._leave(job)

    def first_token(self, wanted: Job) -> float:
        """Seconds from now to the first token of `wanted`, which is in the queue."""
        for _ in range(_MOST_STEPS):
            step = _Step(self._config.max_num_batched_tokens)
            for job in self._running:
                if not step.budget:
                    break
                step.give(job)
            self._admit(step)
            if not step.jobs:
                break
            alike = 1
            if not step.prefills and self._running[-1] is not wanted:
                alike = min(job.output for job, _ in step.jobs)
            seconds = self._config.step_time.step_seconds(step.decodes, step.context, step.prefills)
            self._seconds += step.load_seconds + alike * seconds
            if self._end(step, alike, wanted):
                break
        return self._seconds

    def _admit(self, step: _Step) -> None:
        stay: list[Job] = []
        refused: set[str] = set()
        for place, job in enumerate(self._queue):
            if not step.budget or len(self._running) >= self._config.max_num_seqs:
                stay += self._queue[place:]
                break
            if job.adapter in refused or not self._has_slot(job.adapter):
                refused.add(job.adapter)
                stay.append(job)
                continue
            need = job.context + min(job.left, step.budget) - job.held
            if need > self._free:
                stay += self._queue[place:]
                break
            self._free -= need
            job.held = need
            self._take_slot(job.adapter, step)
            self._running.append(job)
            step.give(job)
        self._queue = stay

    def _end(self, step: _Step, alike: int, wanted: Job) -> bool:
        """Brings all jobs to the end of the step and those like it; True if `wanted` has its first token."""
        some_left = False
        for job, tokens in step.jobs:
            job.context += tokens
            job.left -= tokens
            if job.left:
                continue
            if job is wanted:
                return True
            job.left = 1
            job.context += alike - 1
            job.output -= alike
            job.held += alike
            self._free -= alike
            some_left |= job.output <= 0
        if some_left:
            for job in self._running:
                if job.output <= 0:
                    self._leave(job)
            self._running = [job for job in self._running if job.output > 0]
        return False

    def _leave(self, job: Job) -> None:
        self._free += job.held
        if job.adapter:
            self._users[job.adapter] -= 1

    def _has_slot(self, adapter: str) -> bool:
        users = self._users
        return not adapter or adapter in users or len(users) < self._config.max_loras or 0 in users.values()

    def _take_slot(self, adapter: str, step: _Step) -> None:
        if not adapter:
            return
        if adapter not in self._users:
            if len(self._users) == self._config.max_loras:
                del self._users[next(name for name, users in self._users.items() if not users)]
            step.load_seconds += self._config.lora_load_seconds
        self._users[adapter] = self._users.pop(adapter, 0) + 1
