"""Leaps: their arithmetic, and that an engine that leaps is at any moment what one that steps is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.sim.engine import Engine, EngineConfig
from epp.sim.leap import Leap, block_edges
from epp.sim.sequence import Sequence, SimRequest

LEAP = Leap(began_at=10.0, steps=4, seconds=2.0, longer=1.0, closed=False)


def test_each_step_takes_longer_than_the_one_before() -> None:
    assert [LEAP.end(step) for step in range(5)] == [10.0, 12.0, 15.0, 19.0, 24.0]


@pytest.mark.parametrize(
    ("now", "ended"), [(9, 0), (10, 0), (12, 0), (12.1, 1), (15.5, 2), (19.1, 3), (99, 3)]
)
def test_how_many_steps_have_ended(now: float, ended: int) -> None:
    assert LEAP.ended_before(now) == ended


@given(
    st.floats(0, 1e5),
    st.floats(1e-4, 10),
    st.floats(0, 1).filter(lambda share: not 0 < share < 1e-9),
    st.integers(1, 500),
    st.floats(0, 1.1),
)
def test_how_many_steps_have_ended_is_what_their_ends_say(
    began_at: float, seconds: float, share: float, steps: int, when: float
) -> None:
    leap = Leap(began_at, steps, seconds, seconds * share, closed=False)
    now = began_at + (leap.end(steps) - began_at) * when
    assert leap.ended_before(now) == sum(leap.end(step) < now for step in range(1, steps))


def test_edges_of_blocks_in_order_of_steps() -> None:
    a = Sequence(SimRequest("a", prompt_tokens=6, output_tokens=9), 0.0)
    b = Sequence(SimRequest("b", prompt_tokens=8, output_tokens=9), 0.0)
    edges = [(sequence.request.id, tokens) for sequence, tokens in block_edges([a, b], 6, block_size=4)]
    assert edges == [("b", 9), ("a", 8), ("a", 9), ("b", 12), ("b", 13), ("a", 12)]


class Played:
    """An engine through time, by single steps or by leaps; `finished` with the times."""

    def __init__(self, config: EngineConfig, leaps: bool) -> None:
        self.engine = Engine(config)
        self.leaps = leaps
        self.due: float | None = None
        self.sequences: list[Sequence] = []
        self.log: list[tuple[str, float]] = []  # first tokens and ends

    def until(self, now: float) -> None:
        while self.due is not None and self.due < now:
            self.step(self.due)
        self.engine.catch_up(now)

    def step(self, now: float) -> None:
        result = self.engine.step(now)
        self.log += [(f"first {each.request.id}", now) for each in result.tokens if each.produced == 1]
        self.log += [(f"done {each.request.id}", now) for each in result.finished]
        self.due = self.engine.leap() if self.leaps else result.ends_at

    def submit(self, request: SimRequest, now: float) -> None:
        try:
            self.sequences.append(self.engine.submit(request, now))
        except ValueError:
            return
        self.look_again(now)

    def cancel(self, name: str, now: float) -> None:
        self.engine.cancel(name)
        self.look_again(now)

    def look_again(self, now: float) -> None:
        if self.engine.due is not None:
            self.due = self.engine.due
        elif self.due is None:
            self.due = now

    def state(self) -> dict[str, Any]:
        engine = self.engine
        return {
            "load": repr(engine),
            "running": list(engine._running),
            "waiting": list(engine._waiting),
            "deferred": engine.deferred,
            "adapters": (engine.active_adapters, engine.resident_adapters),
            "counters": asdict(engine.counters),
            "cached": (
                list(engine._pool._idle),
                engine._pool._shared,
                engine._pool._further,
                engine._pool._blank,
            ),
            "sequences": [progress(each) for each in self.sequences],
        }

    def times(self) -> list[float]:
        found = [at for each in self.sequences for at in (each.first_token_at, each.last_token_at)]
        gaps = [each.token_gap for each in self.sequences]
        return [at for at in found if at is not None] + gaps + [at for _, at in self.log]


def progress(sequence: Sequence) -> tuple[Any, ...]:
    return (
        sequence.request.id,
        sequence.produced,
        sequence.computed,
        sequence.scheduled,
        sequence.cached_tokens,
        sequence.preemptions,
        sequence.scheduled_at is None,
        asdict(sequence.table),
    )


CONFIGS = st.builds(
    EngineConfig,
    max_num_seqs=st.integers(1, 6),
    max_num_batched_tokens=st.sampled_from([3, 8, 20, 200]),
    num_blocks=st.integers(4, 40),
    block_size=st.sampled_from([1, 2, 4]),
    max_loras=st.integers(0, 2),
)
# Seconds that hit no end of a step, of which the shortest takes 8 ms.
GAPS = st.integers(0, 300).map(lambda n: n * 0.00123457)
SUBMIT = st.tuples(
    st.integers(1, 30),  # tokens of prompt
    st.integers(1, 60),  # tokens of output
    st.lists(st.integers(1, 2), max_size=20),  # blocks
    st.booleans(),  # whether blocks are known by all before them, as in earnest
    st.sampled_from(["", "", "food", "cad", "sql"]),
)
CANCEL = st.integers(0, 20)  # which of the requests so far
LOOK = st.just("look")


Command = SimRequest | int | str


def play(config: EngineConfig, script: list[tuple[float, Command]]) -> Played:
    """Seconds to wait and what then happens, to an engine that steps and to one that leaps: they agree."""
    stepping, leaping = Played(config, leaps=False), Played(config, leaps=True)
    now = 0.0
    for gap, command in [*script, (1e6, "look")]:
        now += gap
        for each in (stepping, leaping):
            each.until(now)
            if isinstance(command, SimRequest):
                each.submit(command, now)
            elif isinstance(command, int):
                each.cancel(str(command), now)
        assert leaping.state() == stepping.state()
        assert [what for what, _ in leaping.log] == [what for what, _ in stepping.log]
        assert leaping.times() == pytest.approx(stepping.times(), rel=1e-9, abs=1e-9)
    assert not stepping.engine.running
    return leaping


@settings(max_examples=400, deadline=None)
@given(CONFIGS, st.lists(st.tuples(GAPS, st.one_of(SUBMIT, SUBMIT, CANCEL, LOOK)), max_size=40))
def test_leaping_is_stepping(config: EngineConfig, script: list[tuple[float, Any]]) -> None:
    commands: list[tuple[float, Command]] = []
    for number, (gap, command) in enumerate(script):
        if isinstance(command, tuple):
            prompt, output, blocks, chained, adapter = command
            hashes = [hash(tuple(blocks[: n + 1])) for n in range(len(blocks))] if chained else blocks
            command = SimRequest(str(number), prompt, output, hashes, adapter)
        commands.append((gap, command))
    play(config, commands)


def small(num_blocks: int, max_num_batched_tokens: int = 100) -> EngineConfig:
    return EngineConfig(
        num_blocks=num_blocks, block_size=4, max_num_batched_tokens=max_num_batched_tokens, max_loras=1
    )


def test_what_is_decoded_meanwhile_may_let_somebody_in() -> None:
    """The second request lacks one block, until the first has produced what the second has in its prompt."""
    first, second = SimRequest("0", 4, 8, [1, 12, 123]), SimRequest("1", 11, 1, [1, 12])
    played = play(small(num_blocks=3), [(0.0, first), (0.01, second)])
    assert played.sequences[1].cached_tokens == 8


def test_what_is_evicted_meanwhile_may_let_somebody_in() -> None:
    """The last request finds two blocks in the cache and lacks one, until a step takes the first of them."""
    before = [(1.0, SimRequest(str(number), 4, 1, [number])) for number in range(3)]
    running, late = SimRequest("3", 5, 7), SimRequest("4", 17, 1, [0, 1])
    played = play(small(num_blocks=5, max_num_batched_tokens=9), [*before, (1.0, running), (0.01, late)])
    assert played.sequences[-1].cached_tokens == 0
