"""The engine as transcripts: lines with `>` are what it is told, the others what it says.

Every step takes one second and blocks hold 4 tokens, unless a test says otherwise.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.sim.engine import Engine, EngineConfig
from epp.sim.sequence import Sequence, SimRequest
from epp.sim.steptime import StepTime

ONE_SECOND = StepTime(
    weights_seconds=1,
    token_seconds=0,
    decode_launch_seconds=0,
    kv_bytes_per_token=0,
    prefill_launch_seconds=0,
    first_chunk_pair_seconds=0,
    first_chunk_token_seconds=0,
    past_token_seconds=0,
    later_chunk_pair_seconds=0,
    host_seconds=0,
)


def config(
    max_num_seqs: int = 4, max_num_batched_tokens: int = 100, num_blocks: int = 100, max_loras: int = 2
) -> EngineConfig:
    return EngineConfig(
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        num_blocks=num_blocks,
        block_size=4,
        max_loras=max_loras,
        lora_load_seconds=10,
        step_time=ONE_SECOND,
    )


class Transcript:
    """Plays the commands of a script and writes down what the engine answers.

    > submit ID PROMPT OUTPUT [HASHES] [@ADAPTER]     tokens of prompt and output; a letter is a block's hash
    > cancel ID
    > step                                            at the end of the step before
    """

    def __init__(self, settings: EngineConfig) -> None:
        self.engine = Engine(settings)
        self.now = 0.0
        self.ends_at: float | None = None
        self.sequences: dict[str, Sequence] = {}

    def play(self, script: str) -> None:
        expected = [line.strip() for line in script.strip().splitlines()]
        assert list(self._replay(expected)) == expected

    def _replay(self, lines: list[str]) -> Iterator[str]:
        for line in lines:
            if line.startswith("> "):
                yield line
                said = getattr(self, line.split()[1])(*line.split()[2:])
                if said:
                    yield said

    def submit(self, name: str, prompt: str, output: str, *extra: str) -> None:
        adapter = next((word[1:] for word in extra if word.startswith("@")), "")
        hashes = [ord(letter) for word in extra if not word.startswith("@") for letter in word]
        request = SimRequest(name, int(prompt), int(output), hashes, adapter)
        self.sequences[name] = self.engine.submit(request, self.now)

    def cancel(self, name: str) -> str:
        return f"{self.engine.cancel(name)}; {self.engine}"

    def step(self) -> str:
        self.now = self.now if self.ends_at is None else self.ends_at
        result = self.engine.step(self.now)
        self.ends_at = result.ends_at
        tokens = "".join(sequence.request.id for sequence in result.tokens)
        done = "".join(sequence.request.id for sequence in result.finished)
        said = (
            [f"{self.now:g}s:", f"computed {result.batched_tokens}"]
            if result.batched_tokens
            else [f"{self.now:g}s:"]
        )
        said += [f"token {tokens}"] if tokens else []
        said += [f"done {done}"] if done else []
        return f"{' '.join(said)} {self.engine}"


def test_a_request_prefills_and_then_decodes_a_token_a_step() -> None:
    Transcript(config()).play("""
        > submit a 10 3
        > step
        0s: Engine(1 running, 0 waiting, KV 0.030)
        > step
        1s: computed 10 token a Engine(1 running, 0 waiting, KV 0.030)
        > step
        2s: computed 1 token a Engine(1 running, 0 waiting, KV 0.030)
        > step
        3s: computed 1 token a done a Engine(0 running, 0 waiting, KV 0.000)
        > step
        3s: Engine(0 running, 0 waiting, KV 0.000)
    """)


def test_requests_beyond_max_num_seqs_wait_in_order() -> None:
    Transcript(config(max_num_seqs=2)).play("""
        > submit a 4 1
        > submit b 4 2
        > submit c 4 1
        > submit d 4 1
        > step
        0s: Engine(2 running, 2 waiting, KV 0.020)
        > step
        1s: computed 8 token ab done a Engine(2 running, 1 waiting, KV 0.030)
        > step
        2s: computed 5 token bc done bc Engine(1 running, 0 waiting, KV 0.010)
        > step
        3s: computed 4 token d done d Engine(0 running, 0 waiting, KV 0.000)
    """)


def test_a_long_prompt_is_prefilled_in_chunks_beside_the_decoding_ones() -> None:
    Transcript(config(max_num_batched_tokens=10)).play("""
        > submit a 4 9
        > step
        0s: Engine(1 running, 0 waiting, KV 0.010)
        > submit b 25 1
        > step
        1s: computed 4 token a Engine(2 running, 0 waiting, KV 0.050)
        > step
        2s: computed 10 token a Engine(2 running, 0 waiting, KV 0.070)
        > step
        3s: computed 10 token a Engine(2 running, 0 waiting, KV 0.090)
        > step
        4s: computed 8 token ab done b Engine(1 running, 0 waiting, KV 0.020)
    """)


def test_a_cached_prefix_is_not_computed_again() -> None:
    transcript = Transcript(config())
    transcript.play("""
        > submit a 10 1 xy
        > step
        0s: Engine(1 running, 0 waiting, KV 0.030)
        > step
        1s: computed 10 token a done a Engine(0 running, 0 waiting, KV 0.000)
        > submit b 10 1 xy
        > submit c 10 1 xz
        > submit d 8 1 xy
        > step
        1s: Engine(3 running, 0 waiting, KV 0.060)
        > step
        2s: computed 12 token bcd done bcd Engine(0 running, 0 waiting, KV 0.000)
    """)
    # d's whole prompt was there, but its last token has to be computed for the first token of output.
    assert {name: s.cached_tokens for name, s in transcript.sequences.items()} == {
        "a": 0,
        "b": 8,
        "c": 4,
        "d": 4,
    }
    assert transcript.engine.counters.prefix_queries == 38
    assert transcript.engine.counters.prefix_hits == 16


def test_output_is_cached_for_the_next_turn() -> None:
    transcript = Transcript(config())
    transcript.play("""
        > submit a 6 3 xy
        > step
        0s: Engine(1 running, 0 waiting, KV 0.020)
        > step
        1s: computed 6 token a Engine(1 running, 0 waiting, KV 0.020)
        > step
        2s: computed 1 token a Engine(1 running, 0 waiting, KV 0.020)
        > step
        3s: computed 1 token a done a Engine(0 running, 0 waiting, KV 0.000)
        > submit b 12 1 xyz
        > step
        3s: Engine(1 running, 0 waiting, KV 0.030)
        > step
        4s: computed 4 token b done b Engine(0 running, 0 waiting, KV 0.000)
    """)


def test_the_prefix_cache_forgets_the_least_recently_used() -> None:
    transcript = Transcript(config(num_blocks=4))
    transcript.play("""
        > submit a 8 1 uv
        > submit b 8 1 xy
        > step
        0s: Engine(2 running, 0 waiting, KV 1.000)
        > step
        1s: computed 16 token ab done ab Engine(0 running, 0 waiting, KV 0.000)
        > submit c 9 1 uvw
        > step
        1s: Engine(1 running, 0 waiting, KV 0.750)
        > step
        2s: computed 1 token c done c Engine(0 running, 0 waiting, KV 0.000)
        > submit d 12 1 xyz
        > step
        2s: Engine(1 running, 0 waiting, KV 0.750)
        > step
        3s: computed 8 token d done d Engine(0 running, 0 waiting, KV 0.000)
    """)
    assert transcript.sequences["c"].cached_tokens == 8
    assert transcript.sequences["d"].cached_tokens == 4  # c's third block took the place of y


def test_equal_prompts_admitted_together_share_their_blocks() -> None:
    Transcript(config()).play("""
        > submit a 9 1 xy
        > submit b 9 1 xy
        > step
        0s: Engine(2 running, 0 waiting, KV 0.040)
        > step
        1s: computed 10 token ab done ab Engine(0 running, 0 waiting, KV 0.000)
    """)


def test_without_blocks_the_last_admitted_is_preempted_and_starts_again_first() -> None:
    transcript = Transcript(config(num_blocks=4))
    transcript.play("""
        > submit a 8 3
        > submit b 8 2
        > step
        0s: Engine(2 running, 0 waiting, KV 1.000)
        > submit c 4 1
        > step
        1s: computed 16 token ab Engine(1 running, 2 waiting, KV 0.750)
        > step
        2s: computed 1 token a Engine(1 running, 2 waiting, KV 0.750)
        > step
        3s: computed 1 token a done a Engine(2 running, 0 waiting, KV 1.000)
        > step
        4s: computed 13 token bc done bc Engine(0 running, 0 waiting, KV 0.000)
    """)
    assert transcript.engine.counters.preemptions == 1
    assert transcript.sequences["b"].preemptions == 1
    assert transcript.sequences["b"].scheduled_at == 0


def test_after_a_preemption_nothing_is_admitted_in_the_same_step() -> None:
    # At 3s one block is free and would do for a first chunk of b.
    Transcript(config(num_blocks=4, max_num_batched_tokens=5)).play("""
        > submit a 7 4
        > submit b 7 4
        > step
        0s: Engine(1 running, 1 waiting, KV 0.500)
        > step
        1s: computed 5 Engine(2 running, 0 waiting, KV 0.750)
        > step
        2s: computed 5 token a Engine(2 running, 0 waiting, KV 1.000)
        > step
        3s: computed 5 token ab Engine(1 running, 1 waiting, KV 0.750)
        > step
        4s: computed 1 token a Engine(2 running, 0 waiting, KV 1.000)
    """)


def test_a_preempted_request_finds_its_blocks_in_the_prefix_cache() -> None:
    transcript = Transcript(config(num_blocks=5))
    transcript.play("""
        > submit a 12 2
        > submit b 8 2 xy
        > step
        0s: Engine(2 running, 0 waiting, KV 1.000)
        > step
        1s: computed 20 token ab Engine(1 running, 1 waiting, KV 0.800)
        > step
        2s: computed 1 token a done a Engine(1 running, 0 waiting, KV 0.600)
        > step
        3s: computed 5 token b done b Engine(0 running, 0 waiting, KV 0.000)
    """)
    # One of b's blocks was evicted for a, the other was still there: 9 tokens, 4 of them cached.
    assert transcript.engine.counters.prefix_hits == 0  # as in vLLM, a second look is not counted


def test_a_request_that_itself_finds_no_block_is_preempted_if_it_came_last() -> None:
    Transcript(config(num_blocks=3)).play("""
        > submit a 7 2
        > submit b 4 2
        > step
        0s: Engine(2 running, 0 waiting, KV 1.000)
        > step
        1s: computed 11 token ab Engine(1 running, 1 waiting, KV 0.667)
        > step
        2s: computed 1 token a done a Engine(1 running, 0 waiting, KV 0.667)
        > step
        3s: computed 5 token b done b Engine(0 running, 0 waiting, KV 0.000)
    """)


def test_waiting_requests_are_not_admitted_without_blocks() -> None:
    Transcript(config(num_blocks=4)).play("""
        > submit a 12 1
        > submit b 8 1
        > submit c 4 1
        > step
        0s: Engine(1 running, 2 waiting, KV 0.750)
        > step
        1s: computed 12 token a done a Engine(2 running, 0 waiting, KV 0.750)
    """)


def test_an_adapter_without_a_slot_is_deferred_and_overtaken() -> None:
    transcript = Transcript(config(max_loras=1))
    transcript.play("""
        > submit a 4 2 @food
        > submit b 4 1 @cad
        > submit c 4 1 @food
        > submit d 4 1
        > step
        0s: Engine(3 running, 1 waiting, KV 0.030)
    """)
    assert transcript.engine.deferred == 1
    assert not transcript.engine.active_adapters
    transcript.play("""
        > step
        11s: computed 12 token acd done cd Engine(1 running, 1 waiting, KV 0.020)
    """)
    assert transcript.engine.active_adapters == ("food",)
    transcript.play("""
        > step
        12s: computed 1 token a done a Engine(1 running, 0 waiting, KV 0.010)
        > step
        23s: computed 4 token b done b Engine(0 running, 0 waiting, KV 0.000)
    """)
    assert transcript.engine.deferred == 0
    assert transcript.engine.resident_adapters == ("cad",)
    assert transcript.engine.counters.adapter_loads == 2


def test_an_adapter_that_is_resident_is_not_loaded_again() -> None:
    Transcript(config()).play("""
        > submit a 4 1 @food
        > step
        0s: Engine(1 running, 0 waiting, KV 0.010)
        > step
        11s: computed 4 token a done a Engine(0 running, 0 waiting, KV 0.000)
        > submit b 4 1 @food
        > step
        11s: Engine(1 running, 0 waiting, KV 0.010)
        > step
        12s: computed 4 token b done b Engine(0 running, 0 waiting, KV 0.000)
    """)


def test_cancelling_gives_everything_back() -> None:
    transcript = Transcript(config(max_num_seqs=1))
    transcript.play("""
        > submit a 8 5 @food
        > submit b 8 5
        > step
        0s: Engine(1 running, 1 waiting, KV 0.020)
        > cancel b
        True; Engine(1 running, 0 waiting, KV 0.020)
        > cancel a
        True; Engine(0 running, 0 waiting, KV 0.000)
        > cancel a
        False; Engine(0 running, 0 waiting, KV 0.000)
        > step
        11s: Engine(0 running, 0 waiting, KV 0.000)
    """)
    assert transcript.engine.counters.cancelled == 2
    assert transcript.ends_at is None


def test_the_times_of_a_request() -> None:
    transcript = Transcript(config(max_num_seqs=1))
    transcript.play("""
        > submit a 4 1
        > submit b 4 3
        > step
        0s: Engine(1 running, 1 waiting, KV 0.010)
        > step
        1s: computed 4 token a done a Engine(1 running, 0 waiting, KV 0.010)
        > step
        2s: computed 4 token b Engine(1 running, 0 waiting, KV 0.020)
        > step
        3s: computed 1 token b Engine(1 running, 0 waiting, KV 0.020)
    """)
    b = transcript.sequences["b"]
    assert (b.arrived_at, b.scheduled_at, b.first_token_at, b.last_token_at, b.token_gap) == (0, 1, 2, 3, 1)
    assert not b.finished


def test_step_times_follow_the_model() -> None:
    engine = Engine(EngineConfig())
    engine.submit(SimRequest("a", 1000, 2), now=5.0)
    first = engine.step(5.0)
    assert first.ends_at == pytest.approx(5 + StepTime().step_seconds(0, 0, [(1000, 0)]))
    second = engine.step(first.ends_at or 0)
    assert (second.ends_at or 0) - (first.ends_at or 0) == pytest.approx(StepTime().step_seconds(1, 1001))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (SimRequest("a", 1, 1), "here already"),
        (SimRequest("b", 0, 1), "at least one token"),
        (SimRequest("b", 1, 0), "at least one token"),
        (SimRequest("b", 399, 2), "longer than the KV cache, 400 tokens"),
        (SimRequest("b", 1, 1, adapter="food"), "max_loras is 0"),
    ],
)
def test_what_could_never_run_is_refused(request_: SimRequest, message: str) -> None:
    engine = Engine(config(max_loras=0))
    engine.submit(SimRequest("a", 399, 1), now=0)
    with pytest.raises(ValueError, match=message):
        engine.submit(request_, now=0)


SUBMIT = st.tuples(
    st.integers(1, 30),  # tokens of prompt
    st.integers(1, 10),  # tokens of output
    st.lists(st.integers(1, 5), max_size=10),  # hashes
    st.sampled_from(["", "food", "cad", "sql"]),
)
STEP = st.just("step")
CANCEL = st.integers(0, 20)  # which of the requests so far


@given(
    num_blocks=st.integers(10, 20),
    max_num_seqs=st.integers(1, 5),
    budget=st.integers(1, 40),
    actions=st.lists(st.one_of(SUBMIT, STEP, CANCEL), max_size=60),
)
def test_whatever_happens_everything_is_given_back_and_everybody_is_served(
    num_blocks: int,
    max_num_seqs: int,
    budget: int,
    actions: list[tuple[int, int, list[int], str] | str | int],
) -> None:
    engine = Engine(config(max_num_seqs, budget, num_blocks))
    sequences: list[Sequence] = []
    cancelled: set[str] = set()
    now = 0.0

    def step() -> float | None:
        result = engine.step(now)
        assert result.batched_tokens <= budget
        assert engine.running <= max_num_seqs
        assert engine.blocks_in_use <= num_blocks
        assert len(engine.resident_adapters) <= 2
        return result.ends_at

    for action in actions:
        if action == "step":
            now = step() or now
        elif isinstance(action, tuple):
            prompt, output, hashes, adapter = action
            request = SimRequest(str(len(sequences)), prompt, output, hashes, adapter)
            sequences.append(engine.submit(request, now))
        elif isinstance(action, int) and action < len(sequences) and engine.cancel(str(action)):
            cancelled.add(str(action))

    ends_at = step()
    steps = 0
    while ends_at is not None:
        now = ends_at
        ends_at = step()
        steps += 1
        assert steps < 10_000
    assert (engine.running, engine.waiting, engine.deferred, engine.blocks_in_use) == (0, 0, 0, 0)
    assert engine.kv_usage == 0
    for sequence in sequences:
        assert sequence.finished or sequence.request.id in cancelled
        assert sequence.produced <= sequence.request.output_tokens
