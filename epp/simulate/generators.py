"""Workloads in the shapes that the field publishes, drawn from a seed. Lengths in tokens, times in seconds.

Each is a dataclass whose fields are its parameters. Requests arrive at random (Poisson) unless a workload
says otherwise, and do not wait for answers; popularity falls as 1/rank to the power of `skew`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass
from itertools import accumulate, chain, repeat
from typing import Any, ClassVar, Protocol

from epp.config.flags import Complaint, flag
from epp.simulate.draw import Draw
from epp.simulate.sessions import Session, Turn, interleaved, poisson
from epp.simulate.workload import Arrival, Piece

# Of parameters, least and most: no workload needs more, and none takes all memory.
_MANY = (1, 100_000)
_SHARE = (0, 1)
_SKEW = (0, 10)
_SECONDS = (0.01, 100_000)
_TURNS = 1000


class Generator(Protocol):
    """A dataclass of parameters that arrivals are drawn from."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """Without end, in order of time, at a mean of `rate` a second."""


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """Groups of requests that have a long prompt in common, as inference-perf's shared_prefix."""

    groups: int = flag(150, help="How many prompts there are in common.")
    prefix: Draw = flag(Draw("6000"), help="Tokens of such a prompt.")
    question: Draw = flag(Draw("1200"), help="Tokens of a request's own.")
    questions: int = flag(0, help="Different questions of a group; 0: each request has a new one.")
    output: Draw = flag(Draw("~250"), help="Tokens of an answer.")
    skew: float = flag(1.0, help="Of the groups' popularity; 0: all alike.")

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """At random."""
        return self.at(poisson(rng, rate), rng)

    def at(self, times: Iterable[float], rng: random.Random) -> Iterator[Arrival]:
        """At these times."""
        draw = _popularity(self.groups, self.skew)
        prefixes = [Piece(f"group {group}", self.prefix.tokens(rng)) for group in range(self.groups)]
        for number, at in enumerate(times):
            prefix = prefixes[draw(rng)]
            question = f"question {number}"
            if self.questions:
                question = f"question {prefix.key} {rng.randrange(self.questions)}"
            prompt = (prefix, Piece(question, self.question.tokens(rng)))
            yield Arrival(at, prompt, self.output.tokens(rng), f"answer {number}")

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be drawn from."""
        return _outside(self, groups=_MANY, questions=(0, 10**9), skew=_SKEW)


@dataclass(frozen=True, slots=True)
class Priorities(SharedPrefix):
    """Shared prefixes, some of the requests critical (priority 1), some sheddable (-1), the others 0."""

    critical: float = flag(0.2, help="Share of requests with priority 1.")
    sheddable: float = flag(0.5, help="Share of requests with priority -1.")

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """At random."""
        shares = (self.critical, 1 - self.critical - self.sheddable, self.sheddable)
        for arrival in self.at(poisson(rng, rate), rng):
            yield arrival._replace(priority=rng.choices((1, 0, -1), shares)[0])

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be drawn from."""
        yield from SharedPrefix.complaints(self)
        yield from _outside(self, critical=_SHARE, sheddable=_SHARE)
        if self.critical + self.sheddable > 1:
            yield Complaint(("critical", "sheddable"), "must not come to more than 1 with sheddable")


@dataclass(frozen=True, slots=True)
class Bursts(SharedPrefix):
    """Shared prefixes, several requests at one moment."""

    groups: int = flag(24, help="How many prompts there are in common.")
    prefix: Draw = flag(Draw("2000"), help="Tokens of such a prompt.")
    question: Draw = flag(Draw("600"), help="Tokens of a request's own.")
    output: Draw = flag(Draw("150"), help="Tokens of an answer.")
    size: int = flag(16, help="Requests at a time.")

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """`size` at a time."""
        times = poisson(rng, rate / self.size)
        return self.at(chain.from_iterable(repeat(at, self.size) for at in times), rng)

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be drawn from."""
        yield from SharedPrefix.complaints(self)
        yield from _outside(self, size=_MANY)


@dataclass(frozen=True, slots=True)
class Waves(SharedPrefix):
    """Shared prefixes at a rate that jumps between calm and busy (a Markov-modulated Poisson process)."""

    busy: float = flag(15.0, help="Mean seconds of a busy time.")
    calm: float = flag(60.0, help="Mean seconds of a calm time.")
    height: float = flag(4.0, help="Times as many requests a second when busy as when calm.")

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """At random, more of them when busy."""
        return self.at(self._times(rng, rate), rng)

    def _times(self, rng: random.Random, rate: float) -> Iterator[float]:
        calm_rate = rate * (self.calm + self.busy) / (self.calm + self.height * self.busy)
        begin = 0.0
        for is_busy in chain.from_iterable(repeat((False, True))):
            end = begin + rng.expovariate(1 / (self.busy if is_busy else self.calm))
            for passed in poisson(rng, calm_rate * self.height if is_busy else calm_rate):
                if begin + passed > end:
                    break
                yield begin + passed
            begin = end

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be drawn from."""
        yield from SharedPrefix.complaints(self)
        yield from _outside(self, busy=_SECONDS, calm=_SECONDS, height=(0.01, 1000))


@dataclass(frozen=True, slots=True)
class Chat:
    """Conversations over one of a few system prompts; each turn has all before it as its prefix."""

    systems: int = flag(20, help="How many system prompts there are.")
    system: Draw = flag(Draw("500"), help="Tokens of a system prompt.")
    turns: Draw = flag(Draw("1-9"), help="Turns of a conversation.")
    question: Draw = flag(Draw("20-400"), help="Tokens that the user says in a turn.")
    output: Draw = flag(Draw("~250"), help="Tokens of an answer.")
    think: Draw = flag(Draw("5-60"), help="Seconds from one turn to the next.")

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """At random and interleaved."""
        systems = [Piece(f"system {number}", self.system.tokens(rng)) for number in range(self.systems)]
        return interleaved(rng, rate, lambda: self._session(rng, systems))

    def _session(self, rng: random.Random, systems: list[Piece]) -> Session:
        turns = [
            Turn(self.think.draw(rng), self.question.tokens(rng), self.output.tokens(rng))
            for _ in range(min(_TURNS, self.turns.tokens(rng)))
        ]
        return Session(rng.choice(systems), turns)

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be drawn from."""
        return _outside(self, systems=_MANY)


# What an agent's answer is taken to need, so that tasks are the same under every policy: a good first token,
# and the pace of an engine with half a batch.
_FIRST_TOKEN_SECONDS = 0.5
_TOKEN_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Agents:
    """Tasks of many short steps: each has all before it as its prefix, and appends the result of a tool.

    A step comes as soon as the answer before it (0.5 s and 0.02 s a token) and the tool are done.
    """

    systems: int = flag(8, help="How many kinds of agents there are, each with its own prompt and tools.")
    system: Draw = flag(Draw("8000"), help="Tokens of such a prompt.")
    task: Draw = flag(Draw("400x1"), help="Tokens of a task.")
    steps: Draw = flag(Draw("15x0.8max100"), help="Steps of a task.")
    result: Draw = flag(Draw("400x1.5max30000"), help="Tokens of a tool's result.")
    tool: Draw = flag(Draw("1x1.2max60"), help="Seconds that a tool takes.")
    output: Draw = flag(Draw("~100"), help="Tokens of an answer.")
    context: int = flag(100_000, help="A task that has so many tokens ends.")

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """At random and interleaved."""
        systems = [Piece(f"system {number}", self.system.tokens(rng)) for number in range(self.systems)]
        return interleaved(rng, rate, lambda: self._session(rng, systems))

    def _session(self, rng: random.Random, systems: list[Piece]) -> Session:
        system = rng.choice(systems)
        turns = [Turn(0.0, self.task.tokens(rng), self.output.tokens(rng))]
        context = system.tokens + turns[0].question + turns[0].output
        for _ in range(1, min(_TURNS, self.steps.tokens(rng))):
            answered = _FIRST_TOKEN_SECONDS + _TOKEN_SECONDS * turns[-1].output
            step = Turn(answered + self.tool.draw(rng), self.result.tokens(rng), self.output.tokens(rng))
            context += step.question + step.output
            if context > self.context:
                break
            turns.append(step)
        return Session(system, turns)

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be drawn from."""
        return _outside(self, systems=_MANY, context=(1, 10**9))


@dataclass(frozen=True, slots=True)
class ShareGpt:
    """Lengths as in ShareGPT, no prefixes: mean prompt 161 and answer 338 tokens (vLLM's paper, SOSP 2023).

    Prompts are of two log-normal kinds, typed and pasted; their mixture is chosen for the published mean.
    """

    typed: Draw = flag(Draw("25x0.9"), help="Tokens of a short prompt.")
    pasted: Draw = flag(Draw("300x0.9"), help="Tokens of a long one.")
    share: float = flag(0.3, help="Share of long ones.")
    output: Draw = flag(Draw("205x1max4096"), help="Tokens of an answer.")

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """At random."""
        for number, at in enumerate(poisson(rng, rate)):
            kind = self.pasted if rng.random() < self.share else self.typed
            prompt = (Piece(f"prompt {number}", kind.tokens(rng)),)
            yield Arrival(at, prompt, self.output.tokens(rng), f"answer {number}")

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be drawn from."""
        return _outside(self, share=_SHARE)


@dataclass(frozen=True, slots=True)
class Adapters:
    """LoRA adapters of different popularity, each with its own prefix, and the base model beside them."""

    adapters: int = flag(24, help="How many there are.")
    skew: float = flag(1.0, help="Of their popularity; 0: all alike.")
    base: float = flag(0.0, help="Share of requests for the base model.")
    prefix: Draw = flag(Draw("600"), help="Tokens that an adapter's prompts have in common.")
    question: Draw = flag(Draw("600"), help="Tokens of a request's own.")
    output: Draw = flag(Draw("150"), help="Tokens of an answer.")

    @property
    def names(self) -> frozenset[str]:
        """All adapters."""
        return frozenset(f"adapter-{rank}" for rank in range(self.adapters))

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """At random."""
        draw = _popularity(self.adapters, self.skew)
        base = Piece("base", self.prefix.tokens(rng))
        prefixes = [Piece(f"adapter-{rank}", self.prefix.tokens(rng)) for rank in range(self.adapters)]
        for number, at in enumerate(poisson(rng, rate)):
            prefix = base if rng.random() < self.base else prefixes[draw(rng)]
            prompt = (prefix, Piece(f"question {number}", self.question.tokens(rng)))
            adapter = "" if prefix is base else prefix.key
            yield Arrival(at, prompt, self.output.tokens(rng), f"answer {number}", adapter)

    def complaints(self) -> Iterator[Complaint]:
        """Values that nothing can be drawn from."""
        return _outside(self, adapters=_MANY, skew=_SKEW, base=_SHARE)


@dataclass(frozen=True, slots=True)
class HeavyTailed:
    """No prefixes, and prompts whose lengths have a heavy tail: most are short, a few of 100,000 tokens."""

    prompt: Draw = flag(Draw("300p1.1max100000"), help="Tokens of a prompt.")
    output: Draw = flag(Draw("150"), help="Tokens of an answer.")

    def arrivals(self, rng: random.Random, rate: float) -> Iterator[Arrival]:
        """At random."""
        for number, at in enumerate(poisson(rng, rate)):
            prompt = (Piece(f"prompt {number}", self.prompt.tokens(rng)),)
            yield Arrival(at, prompt, self.output.tokens(rng), f"answer {number}")


def _llm_d(groups: int, questions: int, prefix: int, question: int) -> SharedPrefix:
    """One of llm-d's published benchmarks: all groups alike, and 1,000 tokens out."""
    return SharedPrefix(
        groups=groups,
        prefix=Draw(str(prefix)),
        question=Draw(str(question)),
        questions=questions,
        output=Draw("1000"),
        skew=0.0,
    )


# The shapes of llm-d are those of its published results: A to D of its study of predicted latencies (C also
# that of cache-aware routing), its nightly job, and the one with prompts of 100,000 tokens.
GENERATORS: Mapping[str, Generator] = {
    "shared-prefix": SharedPrefix(),
    "chat": Chat(),
    "agents": Agents(),
    "sharegpt": ShareGpt(),
    "adapters": Adapters(),
    "many-adapters": Adapters(adapters=200, base=0.2),
    "bursts": Bursts(),
    "waves": Waves(),
    "heavy-tailed": HeavyTailed(),
    "priorities": Priorities(),
    "llm-d-a": _llm_d(6, 1000, 1000, 30),
    "llm-d-b": _llm_d(6, 1000, 1000, 3000),
    "llm-d-c": _llm_d(150, 5, 6000, 1200),
    "llm-d-d": _llm_d(150, 5, 1000, 6200),
    "llm-d-nightly": _llm_d(150, 5, 9500, 500),
    "llm-d-100k": _llm_d(10, 5, 95_000, 5000),
}


def _popularity(number: int, skew: float) -> Callable[[random.Random], int]:
    """Draws one of `number` things."""
    cumulated = list(accumulate((1 + rank) ** -skew for rank in range(number)))
    things = range(number)
    return lambda rng: rng.choices(things, cum_weights=cumulated)[0]


def _outside(generator: object, **limits: tuple[float, float]) -> Iterator[Complaint]:
    for name, (least, most) in limits.items():
        if not least <= getattr(generator, name) <= most:
            yield Complaint((name,), f"must be from {least:,} to {most:,}")
