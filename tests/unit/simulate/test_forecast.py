"""A forecast against what the engine then does, and the rules that it goes by."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from epp.sim.engine import Engine, EngineConfig
from epp.sim.sequence import SimRequest
from epp.simulate.forecast import Forecast, Job


def job(request: SimRequest) -> Job:
    return Job(request.prompt_tokens, 0, request.output_tokens, 0, request.adapter)


def foreseen(engine: Engine, request: SimRequest, now: float) -> float:
    engine.catch_up(now)
    queue = [job(each.request) for each in engine.queue]
    wanted = job(request)
    return now + Forecast(engine, [*queue, wanted], now).first_token(wanted)


def run_until_first_token(engine: Engine, request: SimRequest, now: float, due: float | None) -> float:
    sequence = engine.submit(request, now)
    due = now if due is None else due
    while sequence.first_token_at is None:
        ends_at = engine.step(due).ends_at
        if ends_at is None:
            break
        due = ends_at
    assert sequence.first_token_at is not None
    return sequence.first_token_at


SIZES = st.tuples(st.integers(1, 3000), st.integers(1, 60), st.sampled_from(["", "", "a", "b", "c"]))


@settings(max_examples=150, deadline=None)
@given(st.lists(SIZES, max_size=12), SIZES, st.integers(0, 40), st.integers(2, 6))
def test_it_says_when_the_first_token_will_come(
    before: list[tuple[int, int, str]], last: tuple[int, int, str], steps: int, batch: int
) -> None:
    engine = Engine(EngineConfig(max_num_seqs=batch, max_num_batched_tokens=1000))
    for number, (prompt, output, adapter) in enumerate(before):
        engine.submit(SimRequest(str(number), prompt, output, adapter=adapter), 0.0)
    now, due = 0.0, None
    for _ in range(steps):
        now = now if due is None else due
        due = engine.step(now).ends_at
    if due is not None:
        now = (now + due) / 2
    request = SimRequest("wanted", last[0], last[1], adapter=last[2])
    told = foreseen(engine, request, now)
    came = run_until_first_token(engine, request, now, due)
    # Decoding steps taken as one are each a little longer than the one before, which a forecast leaves out.
    assert abs(told - came) <= 0.01 * (came - now) + 1e-9


def test_without_blocks_it_waits_for_whoever_has_them() -> None:
    engine = Engine(EngineConfig(num_blocks=100))
    engine.submit(SimRequest("long", 1500, 50), 0.0)
    due = engine.step(0.0).ends_at
    request = SimRequest("wanted", 400, 1)
    assert due is not None
    told = foreseen(engine, request, 0.0)
    came = run_until_first_token(engine, request, 0.0, due)
    assert told > due + 40 * 0.0077  # a decoding step of one sequence
    assert abs(told - came) <= 0.02 * came


def test_what_is_cached_comes_sooner() -> None:
    engine = Engine(EngineConfig())
    cold, warm = Job(4000, 0, 10, 0, ""), Job(100, 3900, 10, 0, "")
    assert Forecast(engine, [warm], 0.0).first_token(warm) < Forecast(engine, [cold], 0.0).first_token(cold)


def test_an_adapter_costs_its_load() -> None:
    config = EngineConfig()
    bare, adapted = Job(100, 0, 10, 0, ""), Job(100, 0, 10, 0, "a")
    seconds = [Forecast(Engine(config), [each], 0.0).first_token(each) for each in (bare, adapted)]
    assert seconds[1] - seconds[0] == config.lora_load_seconds
